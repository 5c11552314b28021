#include "ibot/eval/feature_store.h"

#include <random>

#include "ibot/base/hash.h"
#include "ibot/io/file.h"
#include "ibot/io/safetensors.h"

namespace ibot::eval {

namespace fs = std::filesystem;

namespace {

/// Calls `write` with a name of this process's own, then gives that file its name: several
/// processes may write the same file at once.
template <class Write>
void write_aside(const fs::path& path, const Write& write) {
  const fs::path own = path.string() + "." + std::to_string(std::random_device()());
  write(own);
  fs::rename(own, path);
}

}  // namespace

FeatureStore::FeatureStore(const fs::path& folder, const std::string& description) {
  Hash hash;
  hash.add(description);
  // The folder's name depends on all that decides about features: others never meet.
  folder_ = folder / hash.hex();
  std::error_code error;
  fs::create_directories(folder_, error);
  IBOT_CHECK(!error, "feature cache: cannot create ", folder_.string(), ": ", error.message());
  write_aside(folder_ / "description.txt",
              [&](const fs::path& own) { io::write_file(own, description); });
}

fs::path FeatureStore::file_of(int64_t begin) const {
  return folder_ / (std::to_string(begin) + ".safetensors");
}

std::optional<FeatureBank> FeatureStore::read(int64_t begin, int64_t count) const {
  if (!fs::exists(file_of(begin))) return std::nullopt;
  try {
    auto tensors = io::read_safetensors(file_of(begin)).tensors;
    FeatureBank part{tensors.at("features"), tensors.at("labels"), tensors.at("sample_id"), ""};
    const auto unreadable = tensors.find("unreadable");
    if (unreadable != tensors.end()) part.unreadable = unreadable->second;
    const auto left_out = part.unreadable.defined() ? part.unreadable.size(0) : 0;
    const auto rows = part.features.size(0);
    // Written for another number of images: computed anew.
    if (rows + left_out != count || part.labels.size(0) != rows) return std::nullopt;
    return part;
  } catch (const CheckpointError&) {
    return std::nullopt;  // a damaged file is computed anew
  }
}

void FeatureStore::write(int64_t begin, const FeatureBank& part) const {
  std::map<std::string, torch::Tensor> tensors{
      {"features", part.features}, {"labels", part.labels}, {"sample_id", part.sample_id}};
  if (part.unreadable.defined()) tensors["unreadable"] = part.unreadable;
  write_aside(file_of(begin), [&](const fs::path& own) {
    io::write_safetensors(own, {tensors, {}});
  });
}

}  // namespace ibot::eval
