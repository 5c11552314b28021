// The images below a folder, cached in a file so that a large tree is listed once.
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
  /// Modification time of the folder itself, in nanoseconds since 1970: adding or removing entries
  /// changes it.
  int64_t modified_ns = 0;
};

/// What the folders right below the root stand for.
///
///   kClasses  a class each; images beside them are left out
///   kNothing  no classes: every image of the root and below it, with a note where both hold some
enum class Subfolders { kClasses, kNothing };

/// The images of an image folder in order; ImageFolder defines which files are images.
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

  /// Whether no folder has changed since. Checks every folder but no file.
  bool is_current(const std::filesystem::path& root) const;
  /// Whether every folder had been unchanged for two seconds when it was read: a change within the
  /// same clock tick as the listing would not alter the modification time.
  bool is_settled() const { return settled_; }

  /// Throws Error if it cannot be written.
  void write(const std::filesystem::path& file, const std::filesystem::path& root) const;

 private:
  friend Listing list_images(const std::filesystem::path& root, Subfolders subfolders);
  const ListedFolder& folder_of(int64_t sample) const;

  std::vector<std::string> class_names_;
  std::vector<ListedFolder> folders_;
  NameTable names_;
  int64_t root_modified_ns_;
  std::vector<std::string> notes_;
  bool settled_ = false;
};

/// Lists the images below `root`, on several threads. Throws DataError as ImageFolder does.
Listing list_images(const std::filesystem::path& root,
                    Subfolders subfolders = Subfolders::kClasses);

/// A listing of `root` written earlier, memory-mapped. nullopt if the file is missing, damaged, of
/// another version or of another folder.
std::optional<Listing> read_listing(const std::filesystem::path& file,
                                    const std::filesystem::path& root);

/// The current listing of `root`: cached, or created by one process while the others of the
/// machine wait. A new listing is cached if it has at least `keep_from` images and is settled, in
/// `root`/../.NAME.ibot-listing, or, if that is not writable, in
/// $XDG_CACHE_HOME/ibot/HASH.ibot-listing (default ~/.cache); without classes the file ends in
/// .ibot-images instead.
Listing current_listing(const std::filesystem::path& root, int64_t keep_from,
                        Subfolders subfolders = Subfolders::kClasses);

/// kNothing if the root holds images beside sub-folders, which are then no classes; otherwise, or
/// if it cannot be read, kClasses. Looks at the root alone.
Subfolders meaning_of_subfolders(const std::filesystem::path& root);

}  // namespace ibot::data
