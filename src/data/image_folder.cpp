#include "ibot/data/image_folder.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "data/content.h"
#include "data/file_bytes.h"
#include "data/image_names.h"

namespace ibot::data {
namespace {

// torchvision's, in the order in which a sample with several files is read, then GIF.
constexpr std::array<std::string_view, 10> kExtensions{".jpg", ".jpeg", ".png",  ".ppm",  ".bmp",
                                                       ".pgm", ".tif",  ".tiff", ".webp", ".gif"};

}  // namespace

int image_rank(std::string_view name) {
  const auto ends_in = [name](std::string_view extension) {
    return name.size() >= extension.size() &&
           std::equal(extension.rbegin(), extension.rend(), name.rbegin(), [](char want, char got) {
             return want == std::tolower(static_cast<unsigned char>(got));
           });
  };
  const auto* const found = std::find_if(kExtensions.begin(), kExtensions.end(), ends_in);
  return found == kExtensions.end() ? -1 : static_cast<int>(found - kExtensions.begin());
}

std::string known_endings() {
  std::string list;
  for (const auto extension : kExtensions) list.append(list.empty() ? "" : " ").append(extension);
  return list;
}

bool is_image_name(std::string_view name) { return image_rank(name) >= 0; }

ImageFolder::ImageFolder(const std::filesystem::path& root, int64_t keep_listing_from,
                         Subfolders subfolders)
    : root_(root), listing_(current_listing(root, keep_listing_from, subfolders)) {}

std::string ImageFolder::path(int64_t sample) const {
  return (root_ / listing_.path(sample)).string();
}

std::vector<uint8_t> ImageFolder::read(int64_t sample) const { return file_bytes(path(sample)); }

std::string ImageFolder::content_hash() const {
  Hash hash;
  add_labels(hash, *this);
  add_files(
      hash, size(), [this](int64_t i) { return path(i); },
      [this](int64_t i) { return listing_.path(i); });
  return hash.hex();
}

}  // namespace ibot::data
