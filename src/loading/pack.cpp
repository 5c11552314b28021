#include "ibot/loading/pack.h"

#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "ibot/base/hash.h"
#include "ibot/io/file.h"
#include "ibot/io/tar.h"
#include "ibot/loading/sampler.h"
#include "ibot/shards/shard_set.h"
#include "loading/batch_pipeline.h"
#include "shards/member_names.h"
#include "shards/shard_index.h"

namespace ibot::data {
namespace {

namespace fs = std::filesystem;

// Files that are read together, and how many such groups are read ahead.
constexpr int64_t kFilesPerDraft = 16;
constexpr int64_t kDraftsAhead = 8;
// Upper bound of bytes besides the image: tar headers of image and label, long names, the label,
// and the end of the archive.
constexpr int64_t kOverhead = 8 * 512;

struct File {
  int64_t sample = 0;
  std::vector<uint8_t> bytes;
};

using Draft = std::vector<File>;

/// The files of `order` from `first` on, read in advance by worker threads.
class FileStream {
 public:
  FileStream(const ImageFolder& source, const std::vector<int64_t>& order, int64_t first,
             int64_t workers)
      : order_(order),
        opened_(first),
        pipeline_(
            {.open = [this] { return open(); },
             .tasks = [](const Draft& draft) { return static_cast<int64_t>(draft.size()); },
             .fill = [&source](Draft& draft,
                               int64_t i) { draft[i].bytes = read(source, draft[i].sample); }},
            workers, kDraftsAhead) {}

  /// The next file, unchanged until drop(); null at the end.
  const File* peek() {
    if (!draft_ || next_ == draft_->size()) {
      draft_ = pipeline_.next();
      next_ = 0;
    }
    return draft_ ? &(*draft_)[next_] : nullptr;
  }
  void drop() { (*draft_)[next_++] = {}; }

 private:
  static std::vector<uint8_t> read(const ImageFolder& source, int64_t sample) {
    try {
      return source.read(sample);
    } catch (const DataError& error) {
      // Removing the file would change the plan and make the shards already written useless.
      throw DataError(concat(error.what(),
                             "; make it readable, or put an empty file in its place, which counts "
                             "as a damaged image, and repeat the call: what is packed stays; "
                             "`ibot-data verify` lists all such files"));
    }
  }

  std::optional<Draft> open() {
    Draft draft;
    const auto size = static_cast<int64_t>(order_.size());
    while (opened_ < size && static_cast<int64_t>(draft.size()) < kFilesPerDraft) {
      draft.push_back({order_[opened_++], {}});
    }
    return draft.empty() ? std::nullopt : std::optional(std::move(draft));
  }

  const std::vector<int64_t>& order_;
  int64_t opened_;
  std::optional<Draft> draft_;
  size_t next_ = 0;
  // Last, so that its threads end before what they use.
  BatchPipeline<Draft> pipeline_;
};

std::string shard_name(int64_t number, const char* extension) {
  char name[32];
  std::snprintf(name, sizeof(name), "shard-%06lld.%s", static_cast<long long>(number), extension);
  return name;
}

/// Identity of what is packed: two calls with the same plan write the same bytes.
std::string plan_of(const Listing& listing, const PackOptions& options) {
  Hash hash;
  for (const auto& name : listing.class_names()) hash.add(name + '\n');
  for (int64_t i = 0; i < listing.size(); ++i) hash.add(listing.path(i) + '\n');
  const nlohmann::ordered_json plan{{"images", listing.size()},
                                    {"names_xxh3", hash.hex()},
                                    {"seed", options.seed},
                                    {"shard_bytes", options.shard_bytes}};
  return plan.dump();
}

/// Creates the folder, or verifies that its shards come from an interrupted call with the same
/// plan.
void prepare_folder(const fs::path& out, const std::string& plan) {
  std::error_code error;
  fs::create_directories(out, error);
  IBOT_CHECK(!error, out.string(), ": cannot create the folder: ", error.message());
  if (fs::exists(out / kPlanFile)) {
    IBOT_CHECK_AS(ConfigError, io::read_file(out / kPlanFile) == plan, out.string(),
                  ": holds an interrupted packing of other images or options; repeat that one, or "
                  "choose another folder");
    return;
  }
  // Leftover of a call that was killed while it wrote the plan.
  fs::remove(concat((out / kPlanFile).string(), ".tmp"), error);
  IBOT_CHECK_AS(ConfigError, fs::is_empty(out), out.string(),
                ": expected an empty folder, or one of an interrupted packing; choose another");
  io::write_file(out / kPlanFile, plan);
}

class Packer {
 public:
  Packer(const ImageFolder& source, const fs::path& out, const PackOptions& options)
      : source_(source), out_(out), options_(options), names_(source.listing()) {}

  PackSummary run(const std::string& plan) {
    // The index is written last but for the removal of parts.
    if (fs::exists(out_ / kIndexFile)) return clear_up();
    collect_parts();
    summary_.resumed_images = index_.samples();
    // Shuffled once, so that shards hold images of all classes; the plan fixes the order.
    const auto order = epoch_order(source_.size(), options_.seed, 0, {0, 1});
    // After an interruption, from the first image that no whole shard holds.
    FileStream files(source_, order, index_.samples(), options_.workers);
    while (files.peek() != nullptr) write_shard(files);
    summary_.images = index_.samples();
    auto index = index_.build(/*hashed=*/true);
    index.class_names = source_.class_names();
    index.origin = plan;
    write_index(out_ / kIndexFile, index);
    remove_parts();
    return summary_;
  }

 private:
  fs::path part_path(int64_t number) const { return out_ / shard_name(number, "part"); }

  /// Collects the shards up to the first missing one. The index of a shard, its part, is written
  /// after the shard, so a part implies a whole shard.
  void collect_parts() {
    while (fs::exists(part_path(summary_.shards))) {
      const auto part = read_index(part_path(summary_.shards));
      ++summary_.shards;
      summary_.bytes += part.shards.at(0).bytes;
      index_.append(part);
    }
  }

  /// Completes a call that was interrupted after the index had been written.
  PackSummary clear_up() {
    const auto index = read_index(out_ / kIndexFile);
    summary_ = {.images = index.samples(),
                .shards = static_cast<int64_t>(index.shards.size()),
                .resumed_images = index.samples()};
    for (const auto& shard : index.shards) summary_.bytes += shard.bytes;
    remove_parts();
    return summary_;
  }

  void remove_parts() const {
    for (int64_t number = 0; number < summary_.shards; ++number) fs::remove(part_path(number));
    fs::remove(out_ / kPlanFile);
  }

  void write_shard(FileStream& files) {
    const auto name = shard_name(summary_.shards, "tar");
    ShardIndexBuilder part;
    Hash hash;
    int64_t bytes = 0;
    io::write_file(out_ / name, [&](const io::ByteSink& sink) {
      // Hashed while written: no second pass over the shard.
      const io::ByteSink hashing = [&](const void* data, size_t size) {
        hash.add(data, size);
        sink(data, size);
      };
      io::TarWriter tar(hashing);
      fill(tar, files, part);
      tar.finish();
      bytes = static_cast<int64_t>(tar.size());
    });
    part.end_shard({.name = name, .bytes = bytes, .hash = hash.hex()});
    auto index = part.build(/*hashed=*/true);
    index.class_names = source_.class_names();
    write_index(part_path(summary_.shards), index);
    index_.append(index);
    ++summary_.shards;
    summary_.bytes += bytes;
  }

  void fill(io::TarWriter& tar, FileStream& files, ShardIndexBuilder& part) {
    while (const File* file = files.peek()) {
      const auto size = static_cast<int64_t>(file->bytes.size());
      const auto after = static_cast<int64_t>(tar.size()) + size + kOverhead;
      // An image larger than a shard gets a shard of its own.
      if (part.samples() > 0 && after > options_.shard_bytes) return;
      add(*file, tar, part);
      files.drop();
      options_.progress(index_.samples() + part.samples());
    }
  }

  void add(const File& file, io::TarWriter& tar, ShardIndexBuilder& part) const {
    const auto key = names_.key(file.sample);
    const auto name = concat(key, '.', names_.extension(file.sample));
    const int64_t label = source_.label(file.sample);
    const std::string_view content(reinterpret_cast<const char*>(file.bytes.data()),
                                   file.bytes.size());
    const auto offset = tar.add(name, content);
    // webdataset's convention.
    if (has_classes(source_)) tar.add(key + ".cls", std::to_string(label));
    part.add({.name = name,
              .offset = static_cast<int64_t>(offset),
              .size = static_cast<int64_t>(content.size()),
              .label = label,
              .hash = short_hash(content.data(), content.size())});
  }

  const ImageFolder& source_;
  const fs::path out_;
  const PackOptions& options_;
  const MemberNames names_;
  ShardIndexBuilder index_;
  PackSummary summary_;
};

}  // namespace

PackSummary pack(const ImageFolder& source, const fs::path& out, const PackOptions& options) {
  options.validate();
  const auto plan = plan_of(source.listing(), options);
  prepare_folder(out, plan);
  return Packer(source, out, options).run(plan);
}

}  // namespace ibot::data
