#include "shards/shard_scan.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "data/image_names.h"
#include "ibot/base/error.h"
#include "ibot/io/tar.h"
#include "shards/label_text.h"

namespace ibot::data {
namespace {

constexpr uint64_t kMaxJson = 1 << 20;

/// The name up to the first dot of its last component, and the rest after the dot in lower case.
struct MemberName {
  std::string key;
  std::string ending;
};

MemberName parse_name(const std::string& name) {
  const size_t dot = name.find('.', name.rfind('/') + 1);
  if (dot == std::string::npos) return {};
  MemberName parsed{name.substr(0, dot), name.substr(dot + 1)};
  std::transform(parsed.ending.begin(), parsed.ending.end(), parsed.ending.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return parsed;
}

/// "left" of "left.jpg", "" of "jpg".
std::string stem_of(const std::string& ending) {
  const size_t dot = ending.rfind('.');
  return dot == std::string::npos ? "" : ending.substr(0, dot);
}

struct Member {
  io::TarEntry entry;
  std::string ending;

  bool is_image() const { return image_rank(entry.name) >= 0; }
  bool is_plain_image() const { return is_image() && stem_of(ending).empty(); }
};

struct Label {
  int64_t code = kNoLabel;
  /// Reason for kBadLabel.
  std::string fault;
};

/// Magic bytes of files that are mistaken for tar archives.
struct OtherFormat {
  std::string_view magic;
  const char* name;
  const char* remedy;
};

constexpr std::array<OtherFormat, 11> kOtherFormats{
    {{"\x1f\x8b", "a file compressed with gzip", "decompress it: gunzip < FILE > NEW.tar"},
     {"BZh", "a file compressed with bzip2", "decompress it: bunzip2 < FILE > NEW.tar"},
     {"\xfd"
      "7zXZ",
      "a file compressed with xz", "decompress it: unxz < FILE > NEW.tar"},
     {"\x28\xb5\x2f\xfd", "a file compressed with zstd", "decompress it: unzstd < FILE > NEW.tar"},
     {"\x04\x22\x4d\x18", "a file compressed with lz4", "decompress it: unlz4 < FILE > NEW.tar"},
     {"\x1f\x9d", "a file compressed with compress", "decompress it: uncompress < FILE > NEW.tar"},
     {"LZIP", "a file compressed with lzip", "decompress it: lzip -d < FILE > NEW.tar"},
     {"PK\x03\x04", "a ZIP archive", "unpack it"},
     {"version https://git-lfs", "a Git LFS pointer", "fetch the file itself: git lfs pull"},
     {"<!DOCTYPE", "a web page", "download the file itself"},
     {"<html", "a web page", "download the file itself"}}};

void refuse_other_format(const std::string& file) {
  std::string begin(32, '\0');
  std::ifstream(file, std::ios::binary).read(begin.data(), static_cast<std::streamsize>(32));
  for (const auto& [magic, name, remedy] : kOtherFormats) {
    IBOT_CHECK_AS(DataError, !begin.starts_with(magic), file,
                  ": expected an uncompressed tar archive, got ", name, "; ", remedy);
  }
}

class Scan {
 public:
  explicit Scan(const IndexedShard& shard) : shard_(shard), reader_(shard.name) {}

  FoundShard run() {
    while (const auto entry = reader_.next()) take(*entry);
    end_run();
    join_labels_apart();
    found_.beside.links = reader_.skipped();
    found_.plain = index_of(plain_);
    found_.dotted = index_of(dotted_);
    return std::move(found_);
  }

 private:
  /// The key is empty for damage.
  struct Found {
    ShardSample sample;
    std::string key;
    /// Empty unless the name has several dots.
    std::string stem;
  };

  void take(const io::TarEntry& entry) {
    if (entry.name.empty()) return take_damage(entry);
    if (entry.name.ends_with('/')) return;  // a folder, as stored by old archivers
    if (has_part_passed_over(entry.name)) return found_.beside.hidden.add_hidden(entry.name);
    auto name = parse_name(entry.name);
    if (name.key.empty()) return found_.beside.strays.add("no ending");
    // A repeated extension also starts a sample: without it, two samples with one key would merge.
    if (name.key != key_ || place_in_run_.count(name.ending) > 0) end_run();
    key_ = std::move(name.key);
    place_in_run_.emplace(name.ending, run_.size());
    run_.push_back({entry, std::move(name.ending)});
  }

  void take_damage(const io::TarEntry& entry) {
    // Damage at byte 0 usually means that the file is not an archive at all.
    if (entry.begin == 0) refuse_other_format(shard_.name);
    end_run();
    Found damage;
    damage.sample.name = concat("byte ", entry.begin, " (", entry.damage, ")");
    damage.sample.offset = static_cast<int64_t>(entry.begin);
    damage.sample.size = -1;
    plain_.push_back(std::move(damage));
  }

  /// Turns a run of members with one key into samples.
  void end_run() {
    const Member* best = nullptr;
    bool has_images = false;
    for (const auto& member : run_) {
      has_images = has_images || member.is_image();
      if (!member.is_plain_image()) continue;
      const bool better =
          best == nullptr || image_rank(member.entry.name) < image_rank(best->entry.name);
      if (better) best = &member;
    }
    if (best != nullptr) {
      end_plain(*best);
    } else if (has_images) {
      end_dotted();
    } else if (!run_.empty()) {
      end_without_image();
    }
    run_.clear();
    place_in_run_.clear();
  }

  void end_plain(const Member& image) {
    count_key();
    plain_.push_back(sample_of(image));
    for (const auto& member : run_) {
      if (&member != &image && member.is_image()) found_.beside.other_images.add(member.ending);
    }
  }

  void end_dotted() {
    count_key();
    for (const auto& member : run_) {
      if (!member.is_image()) continue;
      dotted_.push_back(sample_of(member));
      found_.dotted_endings.push_back(member.ending);
    }
  }

  void end_without_image() {
    std::vector<std::string> endings;
    for (const auto& member : run_) endings.push_back(member.ending);
    auto label = label_of("");
    // A label without an image may belong to an image elsewhere in the shard: join_labels_apart().
    if (label.code == kNoLabel) return add_strays(endings);
    const auto [known, added] = labels_apart_.try_emplace(key_, label);
    // Several labels for one key: none of them can be trusted.
    if (!added && known->second.code != label.code) {
      known->second = {kBadLabel, concat("expected one label of ", key_, ", found several")};
    }
    auto& apart = endings_apart_[key_];
    apart.insert(apart.end(), endings.begin(), endings.end());
  }

  void add_strays(const std::vector<std::string>& endings) {
    for (const auto& ending : endings) found_.beside.strays.add(ending);
  }

  void count_key() {
    if (!keys_.insert(key_).second) ++found_.beside.repeated_keys;
  }

  Found sample_of(const Member& image) {
    Found found{{.name = image.entry.name,
                 .offset = static_cast<int64_t>(image.entry.offset),
                 .size = static_cast<int64_t>(image.entry.size)},
                key_,
                stem_of(image.ending)};
    auto label = label_of(found.stem);
    // 0.left.jpg takes the label of 0.left.cls, else that of 0.cls.
    if (label.code == kNoLabel && !found.stem.empty()) label = label_of("");
    set_label(found.sample, label);
    if (!image.entry.damage.empty()) {
      note_fault_(found.sample, image.entry.damage);
      // The image's place is kept, so that it counts as one damaged sample instead of vanishing.
      found.sample.size = -1;
    }
    return found;
  }

  static void set_label(ShardSample& sample, const Label& label) {
    sample.label = label.code;
    if (label.code == kBadLabel) note_fault_(sample, label.fault);
  }

  /// The label from STEM.cls in the run, else from STEM.json.
  Label label_of(const std::string& stem) {
    const std::string begin = stem.empty() ? "" : stem + ".";
    const auto text = place_in_run_.find(begin + "cls");
    if (text != place_in_run_.end()) return label_in_text(run_[text->second].entry);
    const auto json = place_in_run_.find(begin + "json");
    return json == place_in_run_.end() ? Label{} : label_in_json(run_[json->second].entry);
  }

  Label label_in_text(const io::TarEntry& entry) {
    if (!entry.damage.empty()) return {kBadLabel, concat(entry.name, ": ", entry.damage)};
    if (entry.size > kMaxLabelText) return unreadable(entry);
    return parse_label(entry, reader_.content(entry));
  }

  /// From the field "label"; kNoLabel if there is no such field.
  Label label_in_json(const io::TarEntry& entry) {
    if (!entry.damage.empty() || entry.size > kMaxJson) return {};
    const auto json = nlohmann::json::parse(reader_.content(entry), nullptr, false);
    if (!json.is_object() || !json.contains("label") || json["label"].is_null()) return {};
    const auto& label = json["label"];
    if (label.is_number_integer()) return parse_label(entry, label.dump());
    const bool text = label.is_string() && label.get_ref<const std::string&>().size() <= 256;
    return text ? parse_label(entry, label.get<std::string>()) : unreadable(entry);
  }

  static Label unreadable(const io::TarEntry& entry) {
    return {kBadLabel, concat(entry.name, ": expected the number or the name of a class")};
  }

  Label parse_label(const io::TarEntry& entry, const std::string& text) {
    if (const auto number = python_int(text)) {
      if (*number >= 0 && *number < kMaxClasses) return {*number, ""};
      return {kBadLabel, concat(entry.name, ": expected the number of a class, below ", kMaxClasses,
                                ", got ", *number)};
    }
    const auto word = class_word(text);
    if (!word) return unreadable(entry);
    const auto [known, added] =
        number_of_word_.try_emplace(*word, static_cast<int64_t>(found_.words.size()));
    if (added) found_.words.push_back(*word);
    return {kFirstWord - known->second, ""};
  }

  /// Assigns labels that are not adjacent to their image, as in archives that store all images
  /// first.
  void join_labels_apart() {
    std::unordered_set<std::string> used;
    for (auto* list : {&plain_, &dotted_}) {
      for (auto& [sample, key, stem] : *list) {
        if (key.empty() || sample.label != kNoLabel) continue;
        const auto label = labels_apart_.find(key);
        if (label == labels_apart_.end()) continue;
        set_label(sample, label->second);
        used.insert(key);
      }
    }
    for (const auto& [key, endings] : endings_apart_) {
      if (used.count(key) == 0) add_strays(endings);
    }
  }

  ShardIndex index_of(std::vector<Found>& list) const {
    ShardIndexBuilder builder;
    for (const auto& found : list) builder.add(found.sample);
    builder.end_shard(shard_);
    list = {};
    return builder.build(/*hashed=*/false);
  }

  const IndexedShard& shard_;
  io::TarReader reader_;
  FoundShard found_;
  std::string key_;
  std::vector<Member> run_;
  std::unordered_map<std::string, size_t> place_in_run_;
  std::vector<Found> plain_;
  std::vector<Found> dotted_;
  std::unordered_set<std::string> keys_;
  std::unordered_map<std::string, Label> labels_apart_;
  std::unordered_map<std::string, std::vector<std::string>> endings_apart_;
  std::unordered_map<std::string, int64_t> number_of_word_;
};

}  // namespace

void note_fault_(ShardSample& sample, const std::string& reason) {
  sample.name += " (" + reason + ")";
}

void BesideImages::add(const BesideImages& other) {
  hidden.add(other.hidden);
  other_images.add(other.other_images);
  strays.add(other.strays);
  repeated_keys += other.repeated_keys;
  links += other.links;
}

FoundShard scan_shard(const IndexedShard& shard) { return Scan(shard).run(); }

}  // namespace ibot::data
