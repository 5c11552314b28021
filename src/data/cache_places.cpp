#include "data/cache_places.h"

#include <algorithm>
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
  // A slash at the end would leave the name empty.
  return full.has_filename() ? full : full.parent_path();
}

std::vector<fs::path> cache_places(const fs::path& path, const std::string& kind) {
  const auto full = full_path(path);
  // A pattern may have wildcards in its folders too: the cache goes to the folder before them.
  auto folder = full.parent_path();
  std::error_code error;
  while (!fs::is_directory(folder, error) && folder.has_relative_path()) {
    folder = folder.parent_path();
  }
  auto name = full.lexically_relative(folder).string();
  std::replace(name.begin(), name.end(), '/', '_');
  std::vector<fs::path> places{folder / concat(".", name, kind)};
  Hash hash;
  // In the user's folder names of all data sets meet: the hash of the path keeps them apart.
  hash.add(full.string());
  if (const auto cache = cache_folder(); !cache.empty())
    places.push_back(cache / concat(hash.hex(), kind));
  return places;
}

void keep_in_cache(const std::vector<fs::path>& places,
                   const std::function<void(const fs::path&)>& write) {
  for (const auto& place : places) {
    std::error_code unwritable;
    if (place.parent_path() == cache_folder()) fs::create_directories(cache_folder(), unwritable);
    // A unique temporary name: ranks on several machines may write at the same time.
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
