#include "ibot/data/listing.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "data/file_time.h"
#include "data/folder_entries.h"
#include "data/image_names.h"
#include "data/kept.h"
#include "data/parallel.h"
#include "data/tables.h"
#include "data/tensor_of.h"
#include "ibot/base/error.h"

namespace ibot::data {
namespace {

namespace fs = std::filesystem;

constexpr const char* kListingFormat = "ibot listing 2";
// Listing waits for the file system more than for the processor.
constexpr int64_t kListingThreads = 16;

struct FolderState {
  dev_t device;
  ino_t inode;
  int64_t modified_ns;
  bool is_same(const FolderState& other) const {
    return device == other.device && inode == other.inode;
  }
};

std::optional<FolderState> state_of(const fs::path& folder) {
  struct stat status {};
  if (stat(folder.c_str(), &status) != 0) return std::nullopt;
  return FolderState{status.st_dev, status.st_ino, modified_ns(status)};
}

FolderState existing_state_of(const fs::path& folder) {
  const auto state = state_of(folder);
  IBOT_CHECK_AS(DataError, state, "image folder: cannot read ", folder.string(), ": ",
                std::strerror(errno));
  return *state;
}

struct FoundFolder {
  std::string path;
  int64_t modified_ns;
  // Sorted, each ended by a zero byte: a string each would take five times the memory.
  std::string images;
};

/// Removes what is no image, counting it.
void keep_images(std::vector<std::string>& files, LeftOut& left_out) {
  std::erase_if(files, [&](const std::string& name) {
    if (is_image_name(name)) return false;
    left_out.endings.add(ending_of(name));
    return true;
  });
}

std::string packed_names(const std::vector<std::string>& files) {
  std::string names;
  for (const auto& name : files) names.append(name).push_back('\0');
  names.shrink_to_fit();
  return names;
}

struct FoundClass {
  std::vector<FoundFolder> folders;
  LeftOut left_out;

  bool has_images() const {
    return std::any_of(folders.begin(), folders.end(),
                       [](const auto& folder) { return !folder.images.empty(); });
  }
};

/// Appends `folder`, a path below `root`, and all folders below it; `ancestors` are those above it.
void walk(const fs::path& root, const std::string& folder, std::vector<FolderState>& ancestors,
          FoundClass& found) {
  // Its time before its entries: a change in between shows in the next comparison.
  const auto state = existing_state_of(root / folder);
  const auto is_above = [&](const FolderState& above) { return above.is_same(state); };
  IBOT_CHECK_AS(DataError, std::none_of(ancestors.begin(), ancestors.end(), is_above),
                "image folder: ", (root / folder).string(),
                " links to a folder above itself; remove the link");
  auto entries = entries_of(root / folder, found.left_out);
  keep_images(entries.files, found.left_out);
  found.folders.push_back({folder, state.modified_ns, packed_names(entries.files)});
  entries.files = {};
  ancestors.push_back(state);
  for (const auto& name : entries.folders) walk(root, folder + "/" + name, ancestors, found);
  ancestors.pop_back();
}

FoundClass walk_class(const fs::path& root, const std::string& name) {
  std::vector<FolderState> ancestors;
  FoundClass found;
  walk(root, name, ancestors, found);
  std::sort(found.folders.begin(), found.folders.end(),
            [](const auto& a, const auto& b) { return a.path < b.path; });
  return found;
}

/// The classes of a root, or of a flat folder the one that has no name.
struct FoundRoot {
  std::vector<std::string> class_names;
  std::vector<FoundClass> classes;
  int64_t modified_ns = 0;
  std::vector<std::string> notes;
};

/// The folder that has one of these names, perhaps with a year, as train2017; null without one.
const std::string* split_among(const std::vector<std::string>& folders,
                               std::initializer_list<std::string_view> names) {
  for (const auto& folder : folders) {
    const auto stem = std::string_view(folder).substr(0, folder.find_last_not_of("0123456789") + 1);
    if (std::find(names.begin(), names.end(), stem) != names.end()) return &folder;
  }
  return nullptr;
}

/// Where the halves of a data set would be read as one; `role` says how.
std::optional<std::string> note_of_splits(const std::vector<std::string>& folders,
                                          const char* role) {
  const auto* train = split_among(folders, {"train", "training"});
  const auto* other = split_among(folders, {"val", "valid", "validation", "test", "testing"});
  if (train == nullptr || other == nullptr) return std::nullopt;
  return concat("holds ", *train, "/ and ", *other, "/,", role,
                " and the images of both are read; add /", *train,
                " to the path to read the training images alone");
}

std::string counted(int64_t count, const char* what) {
  return concat(count, ' ', what, count == 1 ? "" : "s");
}

/// How a root is read that has both images and sub-folders of such.
std::string note_of_mixture(const std::vector<std::string>& files, int64_t folders) {
  return concat("read without classes: ", counted(std::ssize(files), "image"), " beside ",
                counted(folders, "sub-folder"), ", the first one ", files.front(),
                ", and all images below");
}

/// All folders under the one class "".
void make_flat(FoundRoot& found, const std::vector<std::string>& files) {
  FoundClass flat;
  flat.folders.push_back({"", found.modified_ns, packed_names(files)});
  for (auto& each : found.classes) {
    flat.folders.insert(flat.folders.end(), each.folders.begin(), each.folders.end());
  }
  found.class_names = {""};
  found.classes = {std::move(flat)};
}

FoundRoot find_below(const fs::path& root, Subfolders subfolders) {
  FoundRoot found{.modified_ns = existing_state_of(root).modified_ns};
  LeftOut left_out;
  auto [folders, files] = entries_of(root, left_out);
  keep_images(files, left_out);
  const auto classes = static_cast<int64_t>(folders.size());
  found.class_names = folders;
  found.classes.resize(folders.size());
  for_each(classes, std::min(classes, kListingThreads),
           [&](int64_t label) { found.classes[label] = walk_class(root, folders[label]); });
  for (const auto& each : found.classes) left_out.add(each.left_out);
  found.notes = left_out.notes();
  const bool classes_hold_images = std::any_of(found.classes.begin(), found.classes.end(),
                                               [](const auto& each) { return each.has_images(); });
  if (subfolders == Subfolders::kNothing || !classes_hold_images) {
    if (classes_hold_images && !files.empty()) {
      found.notes.push_back(note_of_mixture(files, classes));
      if (auto note = note_of_splits(folders, "")) found.notes.push_back(*std::move(note));
    }
    make_flat(found, files);
    return found;
  }
  if (!files.empty()) {
    found.notes.push_back(concat("left out ", counted(std::ssize(files), "image"),
                                 " beside the class folders, the first one ", files.front()));
  }
  if (auto note = note_of_splits(folders, " which count as classes,"))
    found.notes.push_back(*std::move(note));
  return found;
}

void add_names(NameTableBuilder& names, std::string_view images) {
  while (!images.empty()) {
    const auto name = images.substr(0, images.find('\0'));
    names.add(name);
    images.remove_prefix(name.size() + 1);
  }
}

/// Whether every folder's first sample lies within the list, in order, and every label is a class.
bool is_consistent(const std::vector<ListedFolder>& folders, int64_t samples, int64_t classes) {
  int64_t before = 0;
  for (const auto& folder : folders) {
    if (folder.first_sample < before || folder.first_sample > samples) return false;
    if (folder.label < 0 || folder.label >= classes) return false;
    before = folder.first_sample;
  }
  return !folders.empty() && folders.front().first_sample == 0 && samples > 0;
}

std::optional<Listing> parse_listing(const io::Safetensors& content, const fs::path& root) {
  const auto& metadata = content.metadata;
  if (metadata.at("format") != kListingFormat || metadata.at("root") != full_path(root).string()) {
    return std::nullopt;
  }
  const auto paths = stored_strings(content, "folders");
  const auto table = content.tensors.at("folder_table");
  if (table.scalar_type() != torch::kLong || table.dim() != 2 || table.size(1) != 3 ||
      table.size(0) != static_cast<int64_t>(paths.size())) {
    return std::nullopt;
  }
  std::vector<ListedFolder> folders;
  const int64_t* row = table.const_data_ptr<int64_t>();
  for (const auto& path : paths) {
    folders.push_back({path, row[0], row[1], row[2]});
    row += 3;
  }
  auto class_names = stored_strings(content, "classes");
  auto names = stored_names(content, "images");
  if (!is_consistent(folders, names.size(), static_cast<int64_t>(class_names.size()))) {
    return std::nullopt;
  }
  return Listing(
      std::move(class_names), std::move(folders), std::move(names),
      std::stoll(metadata.at("root_modified_ns")),
      metadata.count("notes") > 0 ? stored_strings(content, "notes") : std::vector<std::string>());
}

}  // namespace

Listing::Listing(std::vector<std::string> class_names, std::vector<ListedFolder> folders,
                 NameTable names, int64_t root_modified_ns, std::vector<std::string> notes)
    : class_names_(std::move(class_names)),
      folders_(std::move(folders)),
      names_(std::move(names)),
      root_modified_ns_(root_modified_ns),
      notes_(std::move(notes)) {}

const ListedFolder& Listing::folder_of(int64_t sample) const {
  const auto after = [](int64_t value, const ListedFolder& folder) {
    return value < folder.first_sample;
  };
  return *std::prev(std::upper_bound(folders_.begin(), folders_.end(), sample, after));
}

std::string Listing::path(int64_t sample) const {
  const auto& folder = folder_of(sample).path;
  return folder.empty() ? std::string(names_[sample]) : concat(folder, '/', names_[sample]);
}

bool Listing::is_current(const fs::path& root) const {
  const auto unchanged = [](const fs::path& folder, int64_t modified_ns) {
    const auto state = state_of(folder);
    return state && state->modified_ns == modified_ns;
  };
  if (!unchanged(root, root_modified_ns_)) return false;
  std::atomic<bool> current = true;
  for_each(static_cast<int64_t>(folders_.size()), kListingThreads, [&](int64_t i) {
    if (current && !unchanged(root / folders_[i].path, folders_[i].modified_ns)) current = false;
  });
  return current;
}

void Listing::write(const fs::path& file, const fs::path& root) const {
  io::Safetensors content;
  content.metadata = {{"format", kListingFormat},
                      {"root", full_path(root).string()},
                      {"root_modified_ns", std::to_string(root_modified_ns_)}};
  std::vector<std::string> paths;
  std::vector<int64_t> table;
  for (const auto& folder : folders_) {
    paths.push_back(folder.path);
    table.insert(table.end(), {folder.label, folder.first_sample, folder.modified_ns});
  }
  store_names(content, "classes", table_of(class_names_));
  store_names(content, "folders", table_of(paths));
  store_names(content, "images", names_);
  if (!notes_.empty()) store_names(content, "notes", table_of(notes_));
  content.tensors["folder_table"] = tensor_of(std::move(table), torch::kLong).view({-1, 3});
  write_tables(file, std::move(content));
}

Listing list_images(const fs::path& root, Subfolders subfolders) {
  std::error_code error;
  IBOT_CHECK_AS(DataError, fs::exists(root, error),
                "image folder: expected a folder, found nothing at ", root.string(),
                "; check the path");
  IBOT_CHECK_AS(DataError, fs::is_directory(root, error), "image folder: expected a folder, got ",
                root.string(),
                "; name the folder that holds the images, or one sub-folder a class");
  const int64_t began_ns = now_ns();
  auto found = find_below(root, subfolders);
  int64_t latest_ns = found.modified_ns;
  NameTableBuilder names;
  std::vector<ListedFolder> folders;
  for (size_t label = 0; label < found.classes.size(); ++label) {
    for (auto& folder : found.classes[label].folders) {
      folders.push_back(
          {folder.path, static_cast<int64_t>(label), names.size(), folder.modified_ns});
      latest_ns = std::max(latest_ns, folder.modified_ns);
      add_names(names, folder.images);
    }
    found.classes[label] = {};
  }
  std::string left_out;
  for (const auto& note : found.notes) left_out += "; " + note;
  IBOT_CHECK_AS(DataError, names.size() > 0, "image folder: expected images below ", root.string(),
                ", found none", left_out, "; known are ", known_endings());
  Listing listing(std::move(found.class_names), std::move(folders), names.build(),
                  found.modified_ns, std::move(found.notes));
  listing.settled_ = had_rested(latest_ns, began_ns);
  return listing;
}

std::optional<Listing> read_listing(const fs::path& file, const fs::path& root) {
  std::error_code error;
  if (!fs::is_regular_file(file, error)) return std::nullopt;
  // Whatever is wrong with it, the folder itself can be read.
  try {
    return parse_listing(map_tables(file), root);
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

Listing current_listing(const fs::path& root, int64_t keep_from, Subfolders subfolders) {
  const bool classes = subfolders == Subfolders::kClasses;
  return kept_or_made<Listing>(
      root, {.kind = classes ? ".ibot-listing" : ".ibot-images",
             .turn = root,
             .read =
                 [&](const fs::path& file) {
                   auto listing = read_listing(file, root);
                   return listing && listing->is_current(root) ? std::move(listing) : std::nullopt;
                 },
             .make = [&] { return list_images(root, subfolders); },
             .is_kept =
                 [&](const Listing& made) { return made.size() >= keep_from && made.is_settled(); },
             .write = [&](const fs::path& file, const Listing& made) { made.write(file, root); }});
}

Subfolders meaning_of_subfolders(const fs::path& root) {
  std::error_code error;
  if (!fs::is_directory(root, error)) return Subfolders::kClasses;
  LeftOut ignored;
  const auto [folders, files] = entries_of(root, ignored);
  const bool mixed = !folders.empty() && std::any_of(files.begin(), files.end(), is_image_name);
  return mixed ? Subfolders::kNothing : Subfolders::kClasses;
}

}  // namespace ibot::data
