#include "shards/shard_index.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "data/tables.h"
#include "data/tensor_of.h"
#include "ibot/base/error.h"

namespace ibot::data {
namespace {

using Json = nlohmann::json;

constexpr const char* kIndexFormat = "ibot shards 1";

void check_column(const torch::Tensor& column, torch::ScalarType type, int64_t samples) {
  const bool sound = column.scalar_type() == type && column.dim() == 1 && column.size(0) == samples;
  IBOT_CHECK_AS(DataError, sound, "expected one value per sample");
}

void check_consistent(const ShardIndex& index) {
  const int64_t samples = index.samples();
  check_column(index.offset, torch::kLong, samples);
  check_column(index.size, torch::kInt, samples);
  check_column(index.label, torch::kInt, samples);
  if (index.hash.defined()) check_column(index.hash, torch::kLong, samples);
  // Both tables come from one file, but a sum that does not match would read beyond a column.
  int64_t in_shards = 0;
  for (const auto& shard : index.shards) {
    IBOT_CHECK_AS(DataError, shard.samples >= 0 && shard.bytes >= 0, "expected sizes of ",
                  shard.name);
    in_shards += shard.samples;
  }
  IBOT_CHECK_AS(DataError, in_shards == samples && samples > 0, "expected the shards to hold ",
                samples, " samples, got ", in_shards);
  const auto classes = static_cast<int64_t>(index.class_names.size());
  // Found shards may have unlabeled samples, packed ones may not.
  const int64_t lowest = index.hash.defined() ? 0 : -1;
  const bool labeled =
      index.label.min().item<int64_t>() >= lowest && index.label.max().item<int64_t>() < classes;
  IBOT_CHECK_AS(DataError, labeled, "expected labels below ", classes);
}

ShardIndex parse_index(const io::Safetensors& content) {
  const auto& metadata = content.metadata;
  const auto format = metadata.find("format");
  IBOT_CHECK_AS(DataError, format != metadata.end() && format->second == kIndexFormat, "expected ",
                kIndexFormat);
  ShardIndex index;
  for (const auto& shard : Json::parse(metadata.at("shards"))) {
    index.shards.push_back({shard.at("name"), shard.at("samples"), shard.at("bytes"),
                            shard.at("xxh3"), shard.at("modified_ns")});
  }
  index.class_names = stored_strings(content, "classes");
  index.origin = metadata.at("origin");
  index.offset = content.tensors.at("offset");
  index.size = content.tensors.at("size");
  index.label = content.tensors.at("label");
  if (const auto hash = content.tensors.find("hash"); hash != content.tensors.end()) {
    index.hash = hash->second;
  }
  index.names = stored_names(content, "names");
  if (metadata.count("notes") > 0) index.notes = stored_strings(content, "notes");
  check_consistent(index);
  return index;
}

}  // namespace

ShardIndex select_shards(const ShardIndex& index, const std::vector<int64_t>& shards) {
  // first[s]: number of samples before shard s.
  std::vector<int64_t> first{0};
  for (const auto& shard : index.shards) first.push_back(first.back() + shard.samples);
  ShardIndexBuilder builder;
  for (const int64_t shard : shards) {
    for (int64_t i = first[shard]; i < first[shard + 1]; ++i) builder.add(index.sample(i));
    builder.end_shard(index.shards[shard]);
  }
  auto selected = builder.build(index.hash.defined());
  selected.class_names = index.class_names;
  selected.origin = index.origin;
  return selected;
}

ShardSample ShardIndex::sample(int64_t i) const {
  return {.name = std::string(names[i]),
          .offset = offset.const_data_ptr<int64_t>()[i],
          .size = size.const_data_ptr<int32_t>()[i],
          .label = label.const_data_ptr<int32_t>()[i],
          .hash = hash.defined() ? static_cast<uint64_t>(hash.const_data_ptr<int64_t>()[i]) : 0};
}

void ShardIndexBuilder::add(const ShardSample& sample) {
  IBOT_CHECK_AS(DataError, sample.size <= std::numeric_limits<int32_t>::max(), sample.name,
                ": expected an image of less than 2 GiB, got ", sample.size, " bytes");
  names_.add(sample.name);
  offset_.push_back(sample.offset);
  size_.push_back(static_cast<int32_t>(sample.size));
  label_.push_back(static_cast<int32_t>(sample.label));
  hash_.push_back(static_cast<int64_t>(sample.hash));
}

void ShardIndexBuilder::end_shard(IndexedShard shard) {
  // indexed_ counts the samples that already belong to a shard.
  shard.samples = samples() - std::exchange(indexed_, samples());
  shards_.push_back(std::move(shard));
}

void ShardIndexBuilder::append(const ShardIndex& other) {
  const auto extend = [&](auto& column, const torch::Tensor& values) {
    using Value = typename std::decay_t<decltype(column)>::value_type;
    const Value* first = values.const_data_ptr<Value>();
    column.insert(column.end(), first, first + other.samples());
  };
  extend(offset_, other.offset);
  extend(size_, other.size);
  extend(label_, other.label);
  // Columns must stay equally long; build() drops the hashes unless they are wanted.
  extend(hash_, other.hash.defined() ? other.hash : torch::zeros_like(other.offset));
  for (int64_t i = 0; i < other.samples(); ++i) names_.add(other.names[i]);
  shards_.insert(shards_.end(), other.shards.begin(), other.shards.end());
  indexed_ = samples();
}

ShardIndex ShardIndexBuilder::build(bool hashed) {
  ShardIndex index;
  index.shards = std::exchange(shards_, {});
  indexed_ = 0;
  index.offset = tensor_of(std::exchange(offset_, {}), torch::kLong);
  index.size = tensor_of(std::exchange(size_, {}), torch::kInt);
  index.label = tensor_of(std::exchange(label_, {}), torch::kInt);
  auto hash = tensor_of(std::exchange(hash_, {}), torch::kLong);
  if (hashed) index.hash = std::move(hash);
  index.names = names_.build();
  return index;
}

void write_index(const std::filesystem::path& file, const ShardIndex& index) {
  Json shards = Json::array();
  for (const auto& shard : index.shards) {
    shards.push_back({{"name", shard.name},
                      {"samples", shard.samples},
                      {"bytes", shard.bytes},
                      {"xxh3", shard.hash},
                      {"modified_ns", shard.modified_ns}});
  }
  io::Safetensors content;
  content.metadata = {{"format", kIndexFormat},
                      {"origin", index.origin},
                      // Names in the file system may be invalid UTF-8, which dump() would throw at.
                      {"shards", shards.dump(-1, ' ', false, Json::error_handler_t::replace)}};
  content.tensors = {{"offset", index.offset}, {"size", index.size}, {"label", index.label}};
  store_names(content, "classes", table_of(index.class_names));
  store_names(content, "names", index.names);
  if (!index.notes.empty()) store_names(content, "notes", table_of(index.notes));
  if (index.hash.defined()) content.tensors["hash"] = index.hash;
  write_tables(file, std::move(content));
}

ShardIndex read_index(const std::filesystem::path& file) {
  try {
    return parse_index(map_tables(file));
  } catch (const std::exception& error) {
    const std::string reason = error.what();
    throw DataError(reason.starts_with(file.string())
                        ? reason
                        : concat(file.string(), ": not an index of shards: ", reason));
  }
}

}  // namespace ibot::data
