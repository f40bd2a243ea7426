#include "penstock/admin/page.h"

#include <cstdint>
#include <string>
#include <string_view>

// The assembler reads the files when this file is compiled; the Makefile names them as its prerequisites. Paths start
// at the directory that make runs in.
asm(R"(
  .macro embed symbol, file
  .global \symbol, \symbol\()Bytes
  .hidden \symbol, \symbol\()Bytes
  .balign 8
\symbol\()Bytes:
  .quad 2f - 1f
\symbol:
1:
  .incbin "\file"
2:
  .endm

  .pushsection .rodata
  embed kIndexHtml, src/admin/page/index.html
  embed kStyleCss, src/admin/page/style.css
  embed kIconSvg, src/admin/page/icon.svg
  embed kScriptJs, src/admin/page/script.js
  embed kApiJs, src/admin/page/api.js
  embed kChartJs, src/admin/page/chart.js
  embed kFormatJs, src/admin/page/format.js
  embed kTableJs, src/admin/page/table.js
  .popsection
)");

#pragma GCC visibility push(hidden)
extern "C" {
extern const char kIndexHtml[], kStyleCss[], kIconSvg[], kScriptJs[], kApiJs[], kChartJs[], kFormatJs[], kTableJs[];
extern const std::uint64_t kIndexHtmlBytes, kStyleCssBytes, kIconSvgBytes, kScriptJsBytes, kApiJsBytes, kChartJsBytes,
    kFormatJsBytes, kTableJsBytes;
}
#pragma GCC visibility pop

namespace penstock {
namespace {

Route FileRoute(std::string_view path, std::string_view content_type, std::string_view content) {
  const auto answer = [=](const Request&) { return Response{200, std::string(content_type), std::string(content)}; };
  return {.method = Method::kGet, .path = path, .answer = answer, .is_public = true};
}

}  // namespace

std::vector<Route> PageRoutes() {
  constexpr std::string_view kScript = "text/javascript; charset=utf-8";
  return {
      FileRoute("/", "text/html; charset=utf-8", {kIndexHtml, kIndexHtmlBytes}),
      FileRoute("/style.css", "text/css; charset=utf-8", {kStyleCss, kStyleCssBytes}),
      FileRoute("/icon.svg", "image/svg+xml", {kIconSvg, kIconSvgBytes}),
      FileRoute("/script.js", kScript, {kScriptJs, kScriptJsBytes}),
      FileRoute("/api.js", kScript, {kApiJs, kApiJsBytes}),
      FileRoute("/chart.js", kScript, {kChartJs, kChartJsBytes}),
      FileRoute("/format.js", kScript, {kFormatJs, kFormatJsBytes}),
      FileRoute("/table.js", kScript, {kTableJs, kTableJsBytes}),
  };
}

}  // namespace penstock
