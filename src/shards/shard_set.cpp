#include "ibot/shards/shard_set.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <mutex>
#include <numeric>
#include <optional>
#include <set>

#include "data/content.h"
#include "data/folder_entries.h"
#include "data/image_names.h"
#include "data/parallel.h"
#include "data/reason.h"
#include "ibot/base/error.h"
#include "ibot/base/hash.h"
#include "ibot/io/tar.h"
#include "shards/shard_files.h"
#include "shards/shard_index.h"
#include "shards/shard_pattern.h"
#include "shards/shard_search.h"

namespace ibot::data {
namespace {

namespace fs = std::filesystem;

bool is_folder_of_archives(const fs::path& folder) {
  bool found = false;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const auto name = entry.path().filename().string();
    if (is_passed_over(name)) continue;
    if (entry.is_directory(error)) return false;
    found = found || is_archive_name(name);
  }
  return found;
}

/// A note on archives in a packed folder that its index does not list.
std::optional<std::string> note_of_unknown(const fs::path& folder, const ShardIndex& index) {
  std::set<std::string> known;
  for (const auto& shard : index.shards) known.insert(fs::path(shard.name).filename());
  auto archives = archives_in(folder);
  std::erase_if(archives, [&](const std::string& file) {
    return known.count(fs::path(file).filename()) > 0;
  });
  if (archives.empty()) return std::nullopt;
  return concat("left out ", archives.size(), " archives that ", kIndexFile,
                " does not list, the first one ", archives.front());
}

/// A note on images next to the archives of a folder, which are not read.
std::optional<std::string> note_of_files(const fs::path& folder) {
  LeftOut hidden;
  Tally images;
  for (const auto& name : entries_of(folder, hidden).files) {
    if (is_image_name(name)) images.add(ending_of(name));
  }
  if (images.total() == 0) return std::nullopt;
  return concat("left out ", images.total(), " images beside the archives: ", images.text());
}

/// The index that pack wrote to `folder`, with full paths of shards; nullopt if there is none.
std::optional<ShardIndex> packed_index(const fs::path& folder) {
  std::error_code error;
  if (fs::exists(folder / kIndexFile, error)) {
    auto index = read_index(folder / kIndexFile);
    for (auto& shard : index.shards) shard.name = (folder / shard.name).string();
    return index;
  }
  IBOT_CHECK_AS(DataError, !fs::exists(folder / kPlanFile, error), folder.string(),
                ": packing was interrupted; run ibot-data pack again to complete it");
  return std::nullopt;
}

/// A folder's index restricted to `files`.
ShardIndex restricted(ShardIndex index, const std::vector<std::string>& files) {
  std::map<std::string, int64_t> number_of;
  for (const auto& shard : index.shards) {
    number_of.emplace(fs::path(shard.name).filename(), number_of.size());
  }
  std::vector<int64_t> shards;
  for (const auto& file : files) {
    const auto number = number_of.find(fs::path(file).filename());
    IBOT_CHECK_AS(DataError, number != number_of.end(), file, ": expected a shard of the folder's ",
                  kIndexFile, "; move it elsewhere");
    shards.push_back(number->second);
  }
  std::vector<int64_t> all(index.shards.size());
  std::iota(all.begin(), all.end(), 0);
  // Avoids copying millions of rows if all shards are selected in order.
  return shards == all ? std::move(index) : select_shards(index, shards);
}

ShardIndex index_of(const std::string& where) {
  const fs::path folder(where);
  std::error_code error;
  if (fs::is_directory(folder, error)) {
    if (auto index = packed_index(folder)) {
      if (auto note = note_of_unknown(folder, *index)) index->notes.push_back(*std::move(note));
      return *std::move(index);
    }
    auto index = found_index((folder / "*.tar").string(), archives_in(folder));
    if (auto note = note_of_files(folder)) index.notes.push_back(*std::move(note));
    return index;
  }
  const auto files = files_matching(where);
  std::set<fs::path> folders;
  for (const auto& file : files) folders.insert(fs::path(file).parent_path());
  std::optional<ShardIndex> index;
  for (const auto& each : folders) index = packed_index(each);
  // Class indices of different packed folders are unrelated: then labels are read from *.cls
  // instead.
  return index && folders.size() == 1 ? restricted(*std::move(index), files)
                                      : found_index(where, files);
}

std::vector<std::string> paths_of(const std::vector<IndexedShard>& shards) {
  std::vector<std::string> paths;
  for (const auto& shard : shards) paths.push_back(shard.name);
  return paths;
}

std::string hash_of_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  IBOT_CHECK_AS(DataError, file.good(), path, ": cannot open");
  std::vector<char> chunk(1 << 20);
  Hash hash;
  while (file.read(chunk.data(), static_cast<std::streamsize>(chunk.size())) || file.gcount() > 0) {
    hash.add(chunk.data(), static_cast<size_t>(file.gcount()));
  }
  return hash.hex();
}

}  // namespace

class ShardSet::Impl {
 public:
  Impl(const std::string& where, Labels labels)
      : labels_(labels), index_(index_of(where)), files_(paths_of(index_.shards)) {
    int64_t first = 0;
    for (const auto& shard : index_.shards) {
      first_sample_.push_back(first);
      first += shard.samples;
    }
  }

  const ShardIndex& index() const { return index_; }

  // Without a usable label an image counts as class 0; read() refuses it where labels are needed.
  int64_t label(int64_t sample) const { return std::max<int64_t>(stored_label(sample), 0); }

  std::string path(int64_t sample) const {
    return concat(files_.path(shard_of(sample)), ':', index_.names[sample]);
  }

  std::vector<uint8_t> read(int64_t sample) const {
    const int64_t shard = shard_of(sample);
    const int64_t offset = offset_of(sample);
    const int64_t size = size_of(sample);
    IBOT_CHECK_AS(DataError, size >= 0, path(sample), ": damaged shard");
    IBOT_CHECK_AS(DataError, labels_ == Labels::kIgnored || stored_label(sample) >= 0, path(sample),
                  ": no label that can be used");
    IBOT_CHECK_AS(DataError, offset >= 0 && offset + size <= index_.shards[shard].bytes,
                  path(sample), ": expected within the shard, got bytes ", offset, " to ",
                  offset + size, "; the index is damaged");
    auto bytes = files_.read(shard, offset, size, path(sample));
    if (index_.hash.defined()) {
      const auto hash = static_cast<uint64_t>(index_.hash.const_data_ptr<int64_t>()[sample]);
      IBOT_CHECK_AS(DataError, short_hash(bytes.data(), bytes.size()) == hash, path(sample),
                    ": not the bytes that were packed (XXH3 differs)");
    }
    return bytes;
  }

  /// Damage of one shard: by the hash of all bytes if it was packed, by its headers if it was
  /// found.
  std::vector<DamagedFile> damage(int64_t shard) const {
    const auto& [name, samples, bytes, hash, modified] = index_.shards[shard];
    std::vector<DamagedFile> damaged;
    try {
      if (!hash.empty()) {
        if (hash_of_file(name) == hash) return {};
        damaged.push_back({-1, name, "not the bytes that were packed (XXH3 differs)"});
      }
      io::TarReader reader(name);
      while (const auto entry = reader.next()) {
        if (entry->damage.empty()) continue;
        const size_t known = damaged.size();
        add_samples_within(shard, *entry, damaged);
        if (damaged.size() > known || !hash.empty()) continue;
        damaged.push_back({-1, name, concat("byte ", entry->begin, ": ", entry->damage)});
      }
    } catch (const DataError& error) {
      damaged.push_back({-1, name, reason_of(error, name)});
    }
    return damaged;
  }

 private:
  int64_t shard_of(int64_t sample) const {
    const auto after = std::upper_bound(first_sample_.begin(), first_sample_.end(), sample);
    return after - first_sample_.begin() - 1;
  }

  int64_t stored_label(int64_t sample) const {
    return index_.label.const_data_ptr<int32_t>()[sample];
  }

  int64_t offset_of(int64_t sample) const {
    return index_.offset.const_data_ptr<int64_t>()[sample];
  }

  int64_t size_of(int64_t sample) const { return index_.size.const_data_ptr<int32_t>()[sample]; }

  void add_samples_within(int64_t shard, const io::TarEntry& entry,
                          std::vector<DamagedFile>& damaged) const {
    const int64_t first = first_sample_[shard];
    for (int64_t sample = first; sample < first + index_.shards[shard].samples; ++sample) {
      const auto offset = static_cast<uint64_t>(offset_of(sample));
      // Headers precede their content. A damaged stretch keeps the offset at which it was first
      // found.
      const bool begins = offset > entry.begin || (offset == entry.begin && size_of(sample) < 0);
      if (begins && offset <= std::max(entry.offset, entry.begin + entry.size)) {
        damaged.push_back({sample, path(sample), entry.damage});
      }
    }
  }

  Labels labels_;
  ShardIndex index_;
  ShardFiles files_;
  std::vector<int64_t> first_sample_;
};

ShardSet::ShardSet(const std::string& where, Labels labels)
    : impl_(std::make_unique<Impl>(where, labels)) {}
ShardSet::~ShardSet() = default;
int64_t ShardSet::size() const { return impl_->index().samples(); }
int64_t ShardSet::label(int64_t sample) const { return impl_->label(sample); }
std::string ShardSet::path(int64_t sample) const { return impl_->path(sample); }
std::vector<uint8_t> ShardSet::read(int64_t sample) const { return impl_->read(sample); }
const std::vector<std::string>& ShardSet::class_names() const { return impl_->index().class_names; }
std::vector<std::string> ShardSet::notes() const { return impl_->index().notes; }
std::string ShardSet::content_hash() const {
  const auto& index = impl_->index();
  Hash hash;
  add_labels(hash, *this);
  for (const auto& column : {index.offset, index.size, index.hash}) {
    if (column.defined()) hash.add(column.const_data_ptr(), column.nbytes());
  }
  for (const auto& shard : index.shards) hash.add(concat(shard.samples, ' ', shard.hash, '\n'));
  if (!index.hash.defined()) {
    add_files(
        hash, shards(), [&](int64_t i) { return index.shards[i].name; },
        [&](int64_t i) { return fs::path(index.shards[i].name).filename().string(); });
  }
  return hash.hex();
}
int64_t ShardSet::shards() const { return static_cast<int64_t>(impl_->index().shards.size()); }

std::vector<DamagedFile> ShardSet::damaged_containers(int64_t workers) const {
  std::vector<DamagedFile> damaged;
  std::mutex mutex;
  for_each(shards(), workers, [&](int64_t shard) {
    auto more = impl_->damage(shard);
    const std::lock_guard lock(mutex);
    damaged.insert(damaged.end(), more.begin(), more.end());
  });
  return damaged;
}

bool names_shards(const std::string& where) {
  const fs::path path(where);
  std::error_code error;
  if (fs::is_directory(path, error)) {
    return fs::exists(path / kIndexFile, error) || fs::exists(path / kPlanFile, error) ||
           is_folder_of_archives(path);
  }
  return is_archive_name(where) || (!fs::exists(path, error) && is_pattern(where));
}

}  // namespace ibot::data
