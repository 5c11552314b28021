#include "common/output_folder.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "common/run_main.h"
#include "ibot/io/file.h"

namespace ibot::apps {
namespace {

namespace fs = std::filesystem;

/// The part of the path that is there already, below which the other folders would be made.
fs::path standing_part(const fs::path& folder) {
  auto path = fs::absolute(folder).lexically_normal();
  std::error_code unknown;
  while (!fs::exists(path, unknown) && path != path.parent_path()) path = path.parent_path();
  return path;
}

void create(const fs::path& made, const fs::path& shown) {
  std::error_code problem;
  fs::create_directories(made, problem);
  IBOT_CHECK(!problem, shown.string(), ": cannot create the folder: ", problem.message());
}

}  // namespace

void prepare_folder(const fs::path& folder) {
  open_input([&] {
    create(folder, folder);
    io::write_file(folder / ".writable", "");
    fs::remove(folder / ".writable");
  });
}

void check_folder(const fs::path& folder) {
  // A name of this process's own: several may try at once.
  const auto trial = standing_part(folder) / concat(".writable.", ::getpid());
  open_input([&] { create(trial, folder); });
  fs::remove(trial);
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
