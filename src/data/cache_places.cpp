#include "data/cache_places.h"

#include <cstdlib>
#include <random>

#include "ibot/base/error.h"
#include "ibot/base/hash.h"

namespace ibot::data {
namespace {

namespace fs = std::filesystem;

fs::path cache_folder() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && *cache != '\0') return fs::path(cache) / "ibot";
  const char* home = std::getenv("HOME");
  return home != nullptr && *home != '\0' ? fs::path(home) / ".cache/ibot" : fs::path();
}

}  // namespace

fs::path full_path(const fs::path& path) {
  std::error_code error;
  auto full = fs::weakly_canonical(path, error);
  if (error) full = path;
  return full.has_filename() ? full : full.parent_path();
}

std::vector<fs::path> cache_places(const fs::path& path, const std::string& kind) {
  const auto full = full_path(path);
  std::vector<fs::path> places{full.parent_path() / concat(".", full.filename().string(), kind)};
  Hash hash;
  hash.add(full.string());
  if (const auto folder = cache_folder(); !folder.empty())
    places.push_back(folder / concat(hash.hex(), kind));
  return places;
}

void keep_in_cache(const std::vector<fs::path>& places,
                   const std::function<void(const fs::path&)>& write) {
  for (const auto& place : places) {
    std::error_code unwritable;
    fs::create_directories(place.parent_path(), unwritable);
    // A name of its own first: ranks on several machines may write at once.
    const auto own = fs::path(concat(place.string(), '.', std::random_device()()));
    try {
      write(own);
    } catch (const Error&) {
      continue;
    }
    std::error_code failed;
    fs::rename(own, place, failed);
    if (!failed) return;
    fs::remove(own, failed);
  }
}

}  // namespace ibot::data
