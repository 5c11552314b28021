#include "common/output_folder.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "common/run_main.h"
#include "ibot/io/file.h"

namespace ibot::apps {
namespace {

namespace fs = std::filesystem;

/// The missing folders on the path to `folder`, deepest first.
std::vector<fs::path> missing_folders(const fs::path& folder) {
  std::vector<fs::path> missing;
  std::error_code unknown;
  for (auto path = fs::absolute(folder).lexically_normal();
       !fs::exists(path, unknown) && path != path.parent_path(); path = path.parent_path()) {
    missing.push_back(path);
  }
  return missing;
}

}  // namespace

void prepare_folder(const fs::path& folder) {
  open_input([&] {
    std::error_code problem;
    fs::create_directories(folder, problem);
    IBOT_CHECK(!problem, folder.string(), ": cannot create the folder: ", problem.message());
    io::write_file(folder / ".writable", "");
    fs::remove(folder / ".writable");
  });
}

void check_folder(const fs::path& folder) {
  const auto missing = missing_folders(folder);
  // Removes only empty ones: another process may have begun to write there.
  const auto clean = [&] {
    std::error_code problem;
    for (const auto& path : missing) fs::remove(path, problem);
  };
  try {
    prepare_folder(folder);
  } catch (...) {
    clean();
    throw;
  }
  clean();
}

void check_file(const fs::path& file) {
  std::error_code unknown;
  IBOT_CHECK_AS(RequestError, !fs::is_directory(file, unknown), file.string(),
                ": expected a file to write, got a folder");
  // A trial file next to it, so that an existing file stays unchanged.
  const auto trial = file.string() + ".writable";
  const int descriptor = ::open(trial.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  IBOT_CHECK_AS(RequestError, descriptor >= 0, "cannot write ", file.string(), ": ",
                std::strerror(errno));
  ::close(descriptor);
  ::unlink(trial.c_str());
}

}  // namespace ibot::apps
