#include "penstock/admin/page.h"

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <regex>
#include <string>
#include <string_view>

#include <doctest/doctest.h>

namespace penstock {
namespace {

constexpr std::string_view kRequest = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

std::map<std::string, Response> Files() {
  Request request;
  REQUIRE(ParseRequest(kRequest, &request).status == ParseResult::Status::kComplete);
  std::map<std::string, Response> files;
  for (const Route& route : PageRoutes()) files.emplace(std::string(route.path), route.answer(request));
  return files;
}

std::string Content(const std::filesystem::path& path) {
  std::ifstream file(path);
  REQUIRE(file);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST_CASE("page: each file is served as it is in the source tree, with its type") {
  const auto files = Files();
  const std::map<std::string_view, std::string_view> types = {{"html", "text/html; charset=utf-8"},
                                                              {"css", "text/css; charset=utf-8"},
                                                              {"js", "text/javascript; charset=utf-8"},
                                                              {"svg", "image/svg+xml"}};
  std::size_t found = 0;
  for (const auto& entry : std::filesystem::directory_iterator("src/admin/page")) {
    const std::string name = entry.path().filename();
    CAPTURE(name);
    const auto file = files.find(name == "index.html" ? "/" : '/' + name);
    REQUIRE(file != files.end());
    CHECK(file->second.status == 200);
    CHECK(file->second.body == Content(entry.path()));
    CHECK(file->second.content_type == types.at(entry.path().extension().string().substr(1)));
    ++found;
  }
  CHECK(found == files.size());
}

TEST_CASE("page: it can be read without a token, at every entrance") {
  AdminSettings settings;
  settings.token = std::make_shared<const Secret>("open-sesame");
  const Site site(PageRoutes(), settings);
  Request request;
  REQUIRE(ParseRequest(kRequest, &request).status == ParseResult::Status::kComplete);
  for (const Entrance entrance : {Entrance::kUnixSocket, Entrance::kLoopback, Entrance::kNetwork}) {
    CHECK(site.Answer(request, entrance).status == 200);
  }
}

// The Content-Security-Policy of all answers (http.cc) would block the rest.
TEST_CASE("page: it refers to its own files only, and has no style or script inside") {
  const auto files = Files();
  const std::string& html = files.at("/").body;
  const std::regex reference(R"re((?:href|src)="([^"]*)")re");
  for (auto found = std::sregex_iterator(html.begin(), html.end(), reference); found != std::sregex_iterator();
       ++found) {
    const std::string to = (*found)[1];
    CAPTURE(to);
    CHECK((to.starts_with('#') || files.contains(to)));
  }
  for (const std::string_view inside : {"<style", " style=", " onclick=", "javascript:", "<script>"}) {
    CAPTURE(inside);
    CHECK(html.find(inside) == std::string::npos);
  }
}

// Values that clients choose are inserted as text, and nothing is computed from them.
TEST_CASE("page: no script makes markup or code of a text") {
  for (const auto& each : Files()) {
    const std::string& path = each.first;
    if (!path.ends_with(".js")) continue;
    CAPTURE(path);
    for (const std::string_view unsafe :
         {"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", "srcdoc"}) {
      CAPTURE(unsafe);
      CHECK(each.second.body.find(unsafe) == std::string::npos);
    }
  }
}

}  // namespace
}  // namespace penstock
