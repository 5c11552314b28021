#include "shards/shard_search.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <limits>
#include <map>
#include <optional>

#include "data/file_time.h"
#include "data/kept.h"
#include "data/parallel.h"
#include "ibot/base/error.h"
#include "shards/shard_scan.h"

namespace ibot::data {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kSearchThreads = 8;
// Raised with every change of what is found; kept indices of other rules are not used.
constexpr const char* kRules = "ibot search 2";

IndexedShard shard_state(const std::string& file) {
  struct stat status {};
  IBOT_CHECK_AS(DataError, ::stat(file.c_str(), &status) == 0, file,
                ": cannot open: ", std::strerror(errno));
  return {.name = fs::absolute(file).string(),
          .bytes = status.st_size,
          .modified_ns = modified_ns(status)};
}

/// What was found in all shards, less what is no image.
struct Chosen {
  std::vector<ShardIndex> shards;
  /// The words that labels are; see FoundShard.
  std::vector<std::vector<std::string>> words;
  BesideImages beside;
  /// Endings of the images with several dots in their names that are read.
  Tally dotted;
};

bool has_image(const ShardIndex& index) { return (index.size >= 0).any().item<bool>(); }

/// All samples of a shard in their order. An image whose ending has several words is one, unless
/// that ending is found beside an image elsewhere: depth.png is then no image of its own.
ShardIndex merged(FoundShard found, Chosen& chosen) {
  if (found.dotted_endings.empty()) return std::move(found.plain);
  ShardIndexBuilder builder;
  int64_t next = 0;
  const auto add_dotted_before = [&](int64_t offset) {
    for (; next < found.dotted.samples(); ++next) {
      const auto sample = found.dotted.sample(next);
      if (sample.offset >= offset) return;
      const auto& ending = found.dotted_endings[next];
      const bool is_image = !chosen.beside.other_images.contains(ending);
      (is_image ? chosen.dotted : chosen.beside.strays).add(ending);
      if (is_image) builder.add(sample);
    }
  };
  for (int64_t i = 0; i < found.plain.samples(); ++i) {
    const auto sample = found.plain.sample(i);
    add_dotted_before(sample.offset);
    builder.add(sample);
  }
  add_dotted_before(std::numeric_limits<int64_t>::max());
  builder.end_shard(found.plain.shards.front());
  return builder.build(/*hashed=*/false);
}

Chosen chosen(std::vector<FoundShard> found) {
  Chosen chosen;
  for (const auto& shard : found) chosen.beside.add(shard.beside);
  for (auto& shard : found) {
    chosen.words.push_back(std::move(shard.words));
    chosen.shards.push_back(merged(std::move(shard), chosen));
    shard = {};
  }
  return chosen;
}

/// What labels mean: numbers where any is one, else words, sorted.
class Classes {
 public:
  explicit Classes(const Chosen& found) : words_(found.words) {
    for (size_t i = 0; i < found.shards.size(); ++i) take(found.shards[i], words_[i]);
    int64_t number = 0;
    for (auto& [word, value] : number_of_) value = number++;
  }

  bool labeled() const { return numbered() || !number_of_.empty(); }

  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (int64_t i = 0; numbered() && i <= largest_; ++i) names.push_back(std::to_string(i));
    for (const auto& [word, number] : number_of_) {
      if (!numbered()) names.push_back(word);
    }
    return labeled() ? names : std::vector<std::string>{""};
  }

  /// Gives a sample of the shard its final label, 0 where the set has none.
  void settle_(ShardSample& sample, size_t shard) const {
    if (sample.size < 0) {
      sample.label = 0;
    } else if (sample.label <= kFirstWord) {
      const auto& word = words_[shard][static_cast<size_t>(kFirstWord - sample.label)];
      sample.label = numbered() ? kNoLabel : number_of_.at(word);
      if (numbered()) {
        note_fault_(sample, concat("expected the number of a class, as others have, got ", word));
      }
    } else if (sample.label == kBadLabel) {
      sample.label = kNoLabel;
    } else if (sample.label == kNoLabel && labeled()) {
      note_fault_(sample, "without a label");
    } else if (sample.label == kNoLabel) {
      sample.label = 0;
    }
  }

 private:
  bool numbered() const { return largest_ >= 0; }

  void take(const ShardIndex& shard, const std::vector<std::string>& words) {
    const auto* size = shard.size.const_data_ptr<int32_t>();
    const auto* label = shard.label.const_data_ptr<int32_t>();
    std::vector<bool> used(words.size());
    for (int64_t k = 0; k < shard.samples(); ++k) {
      if (size[k] < 0) continue;
      largest_ = std::max<int64_t>(largest_, label[k]);
      if (label[k] <= kFirstWord) used[static_cast<size_t>(kFirstWord - label[k])] = true;
    }
    for (size_t i = 0; i < words.size(); ++i) {
      if (used[i]) number_of_[words[i]] = 0;
    }
  }

  const std::vector<std::vector<std::string>>& words_;
  std::map<std::string, int64_t> number_of_;
  int64_t largest_ = kNoLabel;
};

/// All shards in one.
ShardIndex joined(Chosen& found) {
  const Classes classes(found);
  ShardIndexBuilder builder;
  for (size_t i = 0; i < found.shards.size(); ++i) {
    auto& shard = found.shards[i];
    for (int64_t k = 0; k < shard.samples(); ++k) {
      auto sample = shard.sample(k);
      classes.settle_(sample, i);
      builder.add(sample);
    }
    builder.end_shard(shard.shards.front());
    shard = {};
  }
  auto index = builder.build(/*hashed=*/false);
  index.class_names = classes.names();
  index.origin = kRules;
  return index;
}

/// What lies in the shards and is not read, and images whose labels cannot be.
std::vector<std::string> notes_of(const ShardIndex& index, const Chosen& found) {
  const auto& beside = found.beside;
  std::vector<std::string> notes;
  const auto add = [&](int64_t count, const auto&... text) {
    if (count > 0) notes.push_back(concat(text...));
  };
  if (beside.hidden.hidden > 0) notes.push_back(hidden_note(beside.hidden));
  add(found.dotted.total(), "read ", found.dotted.total(),
      " images with several dots in their names, each as a sample: ", found.dotted.text(),
      "; the image of a sample should be KEY.jpg, with one dot");
  add(beside.other_images.total(), "left out ", beside.other_images.total(),
      " images of samples that have another: ", beside.other_images.text());
  add(beside.strays.total(), "left out ", beside.strays.total(),
      " members that belong to no image: ", beside.strays.text());
  add(beside.repeated_keys, beside.repeated_keys,
      " keys occur again in their shard; each time is a sample of its own");
  add(beside.links, "left out ", beside.links, " links, devices or sparse files");
  const auto empty = std::count_if(index.shards.begin(), index.shards.end(),
                                   [](const auto& shard) { return shard.samples == 0; });
  add(empty, empty, " of ", index.shards.size(), " archives hold no image");
  const auto unlabeled = (index.label < 0).sum().item<int64_t>();
  add(unlabeled, unlabeled, " of ", index.samples(), " images have no label that can be used");
  return notes;
}

ShardIndex search(const std::string& where, const std::vector<IndexedShard>& shards) {
  std::vector<FoundShard> found(shards.size());
  for_each(static_cast<int64_t>(shards.size()), kSearchThreads,
           [&](int64_t i) { found[i] = scan_shard(shards[i]); });
  auto all = chosen(std::move(found));
  auto index = joined(all);
  index.notes = notes_of(index, all);
  std::string left_out;
  for (const auto& note : index.notes) left_out += "; " + note;
  IBOT_CHECK_AS(DataError, has_image(index), where,
                ": expected images in the shards, found none; a sample is KEY.jpg with KEY.cls",
                left_out);
  return index;
}

bool same_files(const std::vector<IndexedShard>& a, const std::vector<IndexedShard>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.name == y.name && x.bytes == y.bytes && x.modified_ns == y.modified_ns;
  });
}

}  // namespace

ShardIndex found_index(const std::string& where, const std::vector<std::string>& files) {
  std::vector<IndexedShard> shards;
  for (const auto& file : files) shards.push_back(shard_state(file));
  const auto began_ns = now_ns();
  const bool settled = std::all_of(shards.begin(), shards.end(), [&](const auto& shard) {
    return had_rested(shard.modified_ns, began_ns);
  });
  return kept_or_made<ShardIndex>(
      where, {.kind = ".ibot-index",
              .turn = cache_places(where, "").front().parent_path(),
              .read = [&](const fs::path& file) -> std::optional<ShardIndex> {
                auto index = read_index(file);
                if (index.origin != kRules || !same_files(index.shards, shards)) return {};
                return index;
              },
              .make = [&] { return search(where, shards); },
              .is_kept = [&](const ShardIndex&) { return settled; },
              .write = write_index});
}

}  // namespace ibot::data
