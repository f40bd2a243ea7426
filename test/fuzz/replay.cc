// Replays recorded inputs through a fuzz entry point, as a program without libFuzzer.
//
// usage: replay FILE|DIRECTORY...   (a directory stands for all files below it)

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

namespace fs = std::filesystem;

// Appends the files for which `path` stands, sorted, so that the order is the same everywhere.
bool Collect(const fs::path& path, std::vector<fs::path>& files) {
  std::error_code error;
  if (!fs::is_directory(path, error)) {
    files.push_back(path);
    return true;
  }
  const auto first = static_cast<std::ptrdiff_t>(files.size());
  for (fs::recursive_directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    if (it->is_regular_file()) files.push_back(it->path());
  }
  std::sort(files.begin() + first, files.end());
  if (error) std::fprintf(stderr, "replay: cannot list %s: %s\n", path.c_str(), error.message().c_str());
  return !error;
}

bool Replay(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::vector<char> input{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  if (!in) {
    std::fprintf(stderr, "replay: cannot read %s\n", path.c_str());
    return false;
  }
  // A block of exactly the input's size, so that a read past its end is one the sanitizers see.
  const std::vector<std::uint8_t> bytes(input.begin(), input.end());
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  bool ok = true;
  std::vector<fs::path> files;
  for (int i = 1; i < argc; ++i) ok = Collect(argv[i], files) && ok;

  std::size_t replayed = 0;
  for (const fs::path& file : files) {
    // Printed first and flushed, so that the last line names the input of a crash.
    std::printf("replaying %s\n", file.c_str());
    std::fflush(stdout);
    if (Replay(file)) {
      ++replayed;
    } else {
      ok = false;
    }
  }
  std::printf("replayed %zu inputs\n", replayed);
  return ok && replayed > 0 ? 0 : 1;
}
