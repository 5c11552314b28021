#include "data/shard_search.h"

#include <glob.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <optional>

#include "data/cache_places.h"
#include "data/image_names.h"
#include "data/listing_turn.h"
#include "data/parallel.h"
#include "ibot/base/error.h"
#include "ibot/io/tar.h"

namespace ibot::data {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kSearchThreads = 8;
constexpr int64_t kMaxNames = 1'000'000;
constexpr uint64_t kMaxLabelText = 32;
// Every number below the largest label is a class with a name.
constexpr int64_t kMaxClasses = 10'000'000;
constexpr int64_t kNoLabel = -1;
// A shard that was written within a clock tick of the search could change unseen.
constexpr int64_t kRestNs = 2'000'000'000;

std::optional<int64_t> parse_integer(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ' || text.back() == '\r')) {
    text.remove_suffix(1);
  }
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

/// What a pair of braces stands for: the numbers of a range, or the alternatives.
std::vector<std::string> alternatives(const std::string& body) {
  std::vector<std::string> words;
  if (const size_t dots = body.find(".."); dots != std::string::npos) {
    const auto first = parse_integer(body.substr(0, dots));
    const auto last = parse_integer(body.substr(dots + 2));
    IBOT_CHECK_AS(DataError, first && last && *first <= *last && *last - *first < kMaxNames,
                  "shards: expected a range of numbers such as {000..146}, got {", body, "}");
    for (int64_t number = *first; number <= *last; ++number) {
      auto digits = std::to_string(number);
      words.push_back(std::string(dots - std::min(dots, digits.size()), '0') + digits);
    }
    return words;
  }
  for (size_t begin = 0; begin <= body.size();) {
    const size_t comma = std::min(body.find(',', begin), body.size());
    words.push_back(body.substr(begin, comma - begin));
    begin = comma + 1;
  }
  return words;
}

std::vector<std::string> expand_braces(const std::string& pattern) {
  const size_t open = pattern.find('{');
  const size_t close = pattern.find('}', open);
  if (open == std::string::npos || close == std::string::npos) return {pattern};
  std::vector<std::string> names;
  const auto rests = expand_braces(pattern.substr(close + 1));
  for (const auto& word : alternatives(pattern.substr(open + 1, close - open - 1))) {
    for (const auto& rest : rests) names.push_back(pattern.substr(0, open) + word + rest);
  }
  return names;
}

void add_matches(const std::string& name, std::vector<std::string>& files) {
  if (name.find_first_of("*?[") == std::string::npos) {
    files.push_back(name);
    return;
  }
  glob_t matches{};
  if (::glob(name.c_str(), 0, nullptr, &matches) == 0) {
    files.insert(files.end(), matches.gl_pathv, matches.gl_pathv + matches.gl_pathc);
  }
  ::globfree(&matches);
}

IndexedShard state_of(const std::string& file) {
  struct stat status {};
  IBOT_CHECK_AS(DataError, ::stat(file.c_str(), &status) == 0, file,
                ": cannot open: ", std::strerror(errno));
  return {.name = fs::absolute(file).string(),
          .bytes = status.st_size,
          .modified_ns = status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec};
}

/// The members of one key, which follow each other.
struct Run {
  std::string key;
  std::optional<ShardSample> image;
  int64_t label = kNoLabel;
  std::string damage;
};

/// The name up to the first dot of its last part.
std::string key_of(const std::string& name) {
  const size_t slash = name.rfind('/');
  return name.substr(0, name.find('.', slash == std::string::npos ? 0 : slash));
}

void mark_damaged_(ShardSample& sample, const std::string& reason) {
  sample.name += " (" + reason + ")";
  sample.size = -1;
  sample.label = 0;
}

void end_run(Run& run, ShardIndexBuilder& samples) {
  if (run.image) {
    run.image->label = run.label;
    if (!run.damage.empty()) {
      mark_damaged_(*run.image, run.damage);
    }
    samples.add(*run.image);
  }
  run = {};
}

void add_member(const io::TarReader& reader, const io::TarEntry& entry, Run& run) {
  if (!run.image && is_image_name(entry.name)) {
    run.image = {.name = entry.name,
                 .offset = static_cast<int64_t>(entry.offset),
                 .size = static_cast<int64_t>(entry.size)};
    run.damage += entry.damage;
  } else if (entry.name == run.key + ".cls") {
    const bool readable = entry.damage.empty() && entry.size <= kMaxLabelText;
    const auto label = readable ? parse_integer(reader.content(entry)) : std::nullopt;
    if (!label || *label >= kMaxClasses) {
      run.damage = concat(entry.name, ": expected the number of a class, below ", kMaxClasses);
    }
    run.label = label.value_or(kNoLabel);
  }
}

ShardIndex search_shard(const IndexedShard& shard) {
  io::TarReader reader(shard.name);
  ShardIndexBuilder samples;
  Run run;
  while (const auto entry = reader.next()) {
    if (entry->name.empty()) {
      end_run(run, samples);
      samples.add({.name = concat("byte ", entry->begin, " (", entry->damage, ")"),
                   .offset = static_cast<int64_t>(entry->begin),
                   .size = -1});
      continue;
    }
    if (key_of(entry->name) != run.key) end_run(run, samples);
    run.key = key_of(entry->name);
    add_member(reader, *entry, run);
  }
  end_run(run, samples);
  samples.end_shard(shard);
  return samples.build(/*hashed=*/false);
}

/// All shards in one. Where any image has a label, one without lost it: no sample of class 0.
ShardIndex joined(std::vector<ShardIndex> found) {
  const bool labelled = std::any_of(found.begin(), found.end(), [](const auto& shard) {
    return ((shard.size >= 0) & (shard.label >= 0)).any().template item<bool>();
  });
  ShardIndexBuilder builder;
  for (auto& shard : found) {
    for (int64_t i = 0; i < shard.samples(); ++i) {
      auto sample = shard.sample(i);
      if (labelled && sample.label == kNoLabel) mark_damaged_(sample, "without a label");
      sample.label = std::max<int64_t>(sample.label, 0);
      builder.add(sample);
    }
    builder.end_shard(shard.shards.front());
    shard = {};
  }
  return builder.build(/*hashed=*/false);
}

ShardIndex search(const std::string& pattern, const std::vector<IndexedShard>& shards) {
  std::vector<ShardIndex> found(shards.size());
  for_each(static_cast<int64_t>(shards.size()), kSearchThreads,
           [&](int64_t i) { found[i] = search_shard(shards[i]); });
  auto index = joined(std::move(found));
  IBOT_CHECK_AS(DataError, (index.size >= 0).any().item<bool>(), pattern,
                ": expected images in the shards, found none; a sample is KEY.jpg with KEY.cls");
  const int64_t classes = index.label.max().item<int64_t>() + 1;
  for (int64_t i = 0; i < classes; ++i) index.class_names.push_back(std::to_string(i));
  return index;
}

bool same_files(const std::vector<IndexedShard>& a, const std::vector<IndexedShard>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.name == y.name && x.bytes == y.bytes && x.modified_ns == y.modified_ns;
  });
}

std::optional<ShardIndex> kept_index(const std::vector<fs::path>& places,
                                     const std::vector<IndexedShard>& shards) {
  for (const auto& place : places) {
    std::error_code error;
    if (!fs::is_regular_file(place, error)) continue;
    // Whatever is wrong with it, the shards themselves can be searched.
    try {
      auto index = read_index(place);
      if (same_files(index.shards, shards)) return index;
    } catch (const DataError&) {
      continue;
    }
  }
  return std::nullopt;
}

bool have_rested(const std::vector<IndexedShard>& shards) {
  const auto now = std::chrono::duration_cast<std::chrono::nanoseconds>(
                       std::chrono::system_clock::now().time_since_epoch())
                       .count();
  return std::all_of(shards.begin(), shards.end(), [now](const auto& shard) {
    return shard.modified_ns + kRestNs < static_cast<int64_t>(now);
  });
}

}  // namespace

std::vector<std::string> files_matching(const std::string& pattern) {
  std::vector<std::string> files;
  for (const auto& name : expand_braces(pattern)) add_matches(name, files);
  IBOT_CHECK_AS(DataError, !files.empty(), "shards: expected files that match ", pattern,
                ", found none; check the path");
  return files;
}

ShardIndex found_index(const std::string& pattern) {
  std::vector<IndexedShard> shards;
  for (const auto& file : files_matching(pattern)) shards.push_back(state_of(file));
  const auto places = cache_places(pattern, ".ibot-index");
  if (auto kept = kept_index(places, shards)) return *std::move(kept);
  const ListingTurn turn(places.front().parent_path());
  if (auto kept = kept_index(places, shards)) return *std::move(kept);
  const bool rested = have_rested(shards);
  auto index = search(pattern, shards);
  if (rested) keep_in_cache(places, [&](const fs::path& place) { write_index(place, index); });
  return index;
}

}  // namespace ibot::data
