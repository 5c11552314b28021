#include "ibot/data/image_folder.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "data/file_bytes.h"
#include "ibot/base/error.h"

namespace ibot::data {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 9> kExtensions{".jpg", ".jpeg", ".png",  ".ppm", ".bmp",
                                                      ".pgm", ".tif",  ".tiff", ".webp"};

bool is_image_name(std::string_view name) {
  const auto ends_in = [name](std::string_view extension) {
    return name.size() >= extension.size() &&
           std::equal(extension.rbegin(), extension.rend(), name.rbegin(), [](char want, char got) {
             return want == std::tolower(static_cast<unsigned char>(got));
           });
  };
  return std::any_of(kExtensions.begin(), kExtensions.end(), ends_in);
}

struct Listing {
  std::vector<std::string> folders;
  std::vector<std::string> files;
};

/// Names in `folder`; a link counts as what it leads to, one that leads nowhere as a file.
Listing list(const fs::path& folder) {
  std::error_code error;
  Listing listing;
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    std::error_code broken_link;
    auto& names = entry->is_directory(broken_link) ? listing.folders : listing.files;
    names.push_back(entry->path().filename().string());
  }
  IBOT_CHECK_AS(DataError, !error, "image folder: cannot read ", folder.string(), ": ",
                error.message());
  return listing;
}

struct FolderId {
  dev_t device;
  ino_t inode;
  bool operator==(const FolderId&) const = default;
};

FolderId folder_id(const std::string& folder) {
  struct stat status {};
  IBOT_CHECK_AS(DataError, stat(folder.c_str(), &status) == 0, "image folder: cannot read ", folder,
                ": ", std::strerror(errno));
  return {status.st_dev, status.st_ino};
}

struct FolderFiles {
  std::string path;
  std::vector<std::string> images;
};

/// Appends `folder` and all folders below it; `ancestors` are those above it.
void walk(const std::string& folder, std::vector<FolderId>& ancestors,
          std::vector<FolderFiles>& found) {
  const FolderId id = folder_id(folder);
  IBOT_CHECK_AS(DataError, std::find(ancestors.begin(), ancestors.end(), id) == ancestors.end(),
                "image folder: ", folder, " links to a folder above itself; remove the link");
  auto listing = list(folder);
  std::erase_if(listing.files, [](const std::string& name) { return !is_image_name(name); });
  if (!listing.files.empty()) found.push_back({folder, std::move(listing.files)});
  ancestors.push_back(id);
  for (const auto& name : listing.folders) walk(folder + "/" + name, ancestors, found);
  ancestors.pop_back();
}

}  // namespace

ImageFolder::ImageFolder(const fs::path& root) {
  std::error_code error;
  IBOT_CHECK_AS(DataError, fs::exists(root, error),
                "image folder: expected a folder, found nothing at ", root.string(),
                "; check the path");
  IBOT_CHECK_AS(DataError, fs::is_directory(root, error), "image folder: expected a folder, got ",
                root.string(), "; name the folder that holds one sub-folder a class");
  class_names_ = list(root).folders;
  IBOT_CHECK_AS(DataError, !class_names_.empty(),
                "image folder: expected one sub-folder a class in ", root.string(),
                ", found none; put images without classes into one sub-folder");
  std::sort(class_names_.begin(), class_names_.end());
  for (size_t label = 0; label < class_names_.size(); ++label) {
    add_class(root / class_names_[label], static_cast<int64_t>(label));
  }
  IBOT_CHECK_AS(DataError, size() > 0, "image folder: expected images below ", root.string(),
                ", found none; known are .jpg .jpeg .png .ppm .bmp .pgm .tif .tiff .webp");
}

void ImageFolder::add_class(const fs::path& folder, int64_t label) {
  std::vector<FolderId> ancestors;
  std::vector<FolderFiles> found;
  walk(folder.string(), ancestors, found);
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return a.path < b.path; });
  for (auto& [path, images] : found) add_folder(path, label, std::move(images));
}

void ImageFolder::add_folder(const std::string& folder, int64_t label,
                             std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  folders_.push_back({folder, label, size()});
  for (const auto& name : names) {
    names_ += name;
    name_begin_.push_back(names_.size());
  }
}

const ImageFolder::Folder& ImageFolder::folder_of(int64_t sample) const {
  const auto after = [](int64_t value, const Folder& folder) {
    return value < folder.first_sample;
  };
  return *std::prev(std::upper_bound(folders_.begin(), folders_.end(), sample, after));
}

int64_t ImageFolder::label(int64_t sample) const { return folder_of(sample).label; }

std::string ImageFolder::path(int64_t sample) const {
  const uint64_t begin = name_begin_[sample];
  return folder_of(sample).path + "/" + names_.substr(begin, name_begin_[sample + 1] - begin);
}

std::vector<uint8_t> ImageFolder::read(int64_t sample) const { return file_bytes(path(sample)); }

}  // namespace ibot::data
