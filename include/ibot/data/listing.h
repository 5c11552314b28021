// Which images lie below a folder, kept in a file so that a large tree is listed once.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "ibot/data/name_table.h"

namespace ibot::data {

/// A folder below the root at any depth, with or without images of its own.
struct ListedFolder {
  /// Relative to the root; empty for the root of a flat folder.
  std::string path;
  int64_t label = 0;
  int64_t first_sample = 0;
  /// Of the folder itself, in nanoseconds since 1970: entries that come or go change it.
  int64_t modified_ns = 0;
};

/// The images of an image folder in their order; see ImageFolder, which decides what is one.
class Listing {
 public:
  /// Folders in the order of their samples, names of all files in that order.
  Listing(std::vector<std::string> class_names, std::vector<ListedFolder> folders, NameTable names,
          int64_t root_modified_ns, std::vector<std::string> notes = {});

  int64_t size() const { return names_.size(); }
  int64_t label(int64_t sample) const { return folder_of(sample).label; }
  /// Relative to the root.
  std::string path(int64_t sample) const;
  const std::vector<std::string>& class_names() const { return class_names_; }
  const std::vector<std::string>& notes() const { return notes_; }

  /// Whether no folder has changed since; looks at every folder, at no file.
  bool is_current(const std::filesystem::path& root) const;
  /// Whether every folder had rested for two seconds when it was read: a change within a clock tick
  /// of the reading would not show in its time.
  bool is_settled() const { return settled_; }

  /// Throws Error when it cannot be written.
  void write(const std::filesystem::path& file, const std::filesystem::path& root) const;

 private:
  friend Listing list_images(const std::filesystem::path& root);
  const ListedFolder& folder_of(int64_t sample) const;

  std::vector<std::string> class_names_;
  std::vector<ListedFolder> folders_;
  NameTable names_;
  int64_t root_modified_ns_;
  std::vector<std::string> notes_;
  bool settled_ = false;
};

/// Lists the images below `root`, on several threads. Throws DataError as ImageFolder does.
Listing list_images(const std::filesystem::path& root);

/// A listing of `root` written before; its names stay in the file, which is mapped. Nothing when
/// there is none, or it is damaged, of another version or of another folder.
std::optional<Listing> read_listing(const std::filesystem::path& file,
                                    const std::filesystem::path& root);

/// The listing of `root`, for which processes of one machine wait for the first of them: a file
/// that is current, or a new one, which is kept in a file when it has `keep_from` images or more
/// and is settled. The file is `root`/../.NAME.ibot-listing, or where that cannot be written,
/// $XDG_CACHE_HOME/ibot/HASH.ibot-listing (~/.cache without the variable).
Listing current_listing(const std::filesystem::path& root, int64_t keep_from);

}  // namespace ibot::data
