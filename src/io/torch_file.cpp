#include "ibot/io/torch_file.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>

#include "ibot/base/error.h"
#include "ibot/io/file.h"
#include "io/foreign_format.h"
#include "io/pickle.h"
#include "io/storage_classes.h"
#include "io/value_builder.h"
#include "io/zip.h"

namespace ibot::io {
namespace {

constexpr std::string_view kZipMagic("PK\3\4", 4);
// The magic number of the stream format before PyTorch 1.6, pickled by protocol 2 or above and by
// an earlier one.
constexpr std::array kStreamMagics{
    std::string_view("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 13),
    std::string_view("L119547037146038801333356L\n.")};
constexpr size_t kMagicWithin = 48;
constexpr int64_t kStreamVersion = 1001;

/// Size of `storage` in bytes.
uint64_t storage_size(const PickleStorage& storage, const std::string& where) {
  int64_t item = 1;  // UntypedStorage counts bytes
  for (const auto& known : kStorageClasses) {
    if (known.storage == storage.type) item = static_cast<int64_t>(torch::elementSize(known.type));
  }
  int64_t bytes = 0;
  IBOT_CHECK_AS(CheckpointError,
                storage.elements >= 0 && !__builtin_mul_overflow(storage.elements, item, &bytes),
                where, ": storage ", storage.key, ": expected a size, got ", storage.elements);
  return static_cast<uint64_t>(bytes);
}

std::string_view checked_entry(const std::map<std::string, ZipEntry>& entries,
                               const std::string& name, const std::string& where) {
  const auto found = entries.find(name);
  IBOT_CHECK_AS(CheckpointError, found != entries.end(), where, ": expected an entry ", name,
                ", found none");
  IBOT_CHECK_AS(CheckpointError, !found->second.compressed, where, ": ", name,
                " is compressed; torch.save stores entries uncompressed, save the file again");
  IBOT_CHECK_AS(CheckpointError, crc32(found->second.bytes) == found->second.crc32, where, ": ",
                name, ": the checksum differs; the file is damaged");
  return found->second.bytes;
}

/// What a zip archive without a pickle of torch.save is, and the remedy.
std::string other_archive(const std::map<std::string, ZipEntry>& entries) {
  if (entries.empty()) return "an empty zip archive; copy or download the file again";
  const auto& first = entries.begin()->first;
  if (first.ends_with(".npy")) {
    return concat("a NumPy archive of ", first, "; write its tensors with torch.save");
  }
  if (entries.count("model.weights.h5") > 0) {
    return "a model of Keras; write its tensors with torch.save under their names in PyTorch";
  }
  return concat("a zip archive of other files such as ", first,
                "; unpack it and name the file of weights");
}

/// The top folder: "archive/" for the entry "archive/data.pkl". torch.save names it after the file.
std::string archive_folder(const std::map<std::string, ZipEntry>& entries,
                           const std::string& where) {
  constexpr std::string_view kPickle = "data.pkl";
  std::string folder;
  int found = 0;
  for (const auto& [name, entry] : entries) {
    const auto slash = name.find('/');
    if (slash == std::string::npos || std::string_view(name).substr(slash + 1) != kPickle) continue;
    folder = name.substr(0, slash + 1);
    ++found;
  }
  IBOT_CHECK_AS(CheckpointError, found > 0, where, ": expected a file of torch.save, got ",
                other_archive(entries));
  IBOT_CHECK_AS(CheckpointError, found == 1, where, ": expected one entry */data.pkl, got ", found,
                "; is this a file of torch.save?");
  IBOT_CHECK_AS(
      CheckpointError, entries.count(folder + "constants.pkl") == 0, where,
      ": expected a file of torch.save, got a TorchScript program; write its tensors with "
      "torch.save(torch.jit.load(FILE).state_dict(), OUT)");
  return folder;
}

Value read_archive(std::string_view file, const std::string& path) {
  const auto entries = read_zip(file, path);
  const auto folder = archive_folder(entries, path);
  if (entries.count(folder + "byteorder") > 0) {
    const auto order = checked_entry(entries, folder + "byteorder", path);
    IBOT_CHECK_AS(CheckpointError, order == "little", path,
                  ": expected little-endian numbers, got big-endian ones");
  }
  const auto where = path + ": data.pkl";
  const auto pickle = read_pickle(checked_entry(entries, folder + "data.pkl", path), where);
  const auto bytes = [&](const PickleStorage& storage) {
    const auto name = folder + "data/" + storage.key;
    const auto data = checked_entry(entries, name, path);
    const auto expected = storage_size(storage, path);
    IBOT_CHECK_AS(CheckpointError, data.size() == expected, path, ": ", name, ": expected ",
                  expected, " bytes, got ", data.size());
    return data;
  };
  return value_of(pickle, where, static_cast<int64_t>(file.size()), bytes);
}

/// Storage keys in the order in which their data follow.
std::vector<std::string> key_list(const Pickle& pickle, const std::string& where) {
  std::vector<std::string> keys;
  const auto* list = std::get_if<PickleList>(&pickle.nodes[pickle.root]);
  IBOT_CHECK_AS(CheckpointError, list != nullptr, where, ": expected a list of storages");
  for (const NodeId item : list->items) {
    const auto* key = std::get_if<std::string>(&pickle.nodes[item]);
    IBOT_CHECK_AS(CheckpointError, key != nullptr, where, ": expected storage keys");
    keys.push_back(*key);
  }
  return keys;
}

/// Offset after the magic number of a stream; 0 if the file does not begin with it.
size_t stream_begin(std::string_view file) {
  const auto head = file.substr(0, kMagicWithin);
  for (const auto magic : kStreamMagics) {
    const auto at = head.find(magic);
    // Preceded at most by PROTO (2 bytes) and FRAME (9 bytes).
    if (at != std::string_view::npos && at <= 11) return at + magic.size();
  }
  return 0;
}

/// Layout: pickles of the magic number, version, system, content and storage keys; then for each
/// key an int64 count of elements and its bytes.
Value read_stream(std::string_view file, const std::string& path) {
  size_t position = stream_begin(file);
  const auto next_pickle = [&](const char* name) {
    auto pickle = read_pickle(file.substr(position), path + ": " + name);
    position += pickle.size;
    return pickle;
  };
  const auto version = next_pickle("version");
  const auto* number = std::get_if<int64_t>(&version.nodes[version.root]);
  IBOT_CHECK_AS(CheckpointError, number != nullptr && *number == kStreamVersion, path,
                ": expected version ", kStreamVersion, " of the format");
  next_pickle("system");
  const auto where = path + ": content";
  const auto pickle = next_pickle("content");
  std::map<std::string, const PickleStorage*> storages;
  for (const auto& node : pickle.nodes) {
    const auto* storage = std::get_if<PickleStorage>(&node);
    if (storage != nullptr) storages[storage->key] = storage;
  }
  const auto keys = key_list(next_pickle("storages"), path);
  std::map<std::string, std::string_view> data;
  for (const auto& key : keys) {
    const auto storage = storages.find(key);
    IBOT_CHECK_AS(CheckpointError, storage != storages.end() && data.count(key) == 0, path,
                  ": expected each storage once");
    const auto size = storage_size(*storage->second, path);
    int64_t elements = -1;
    const auto rest = file.substr(position);
    if (rest.size() >= sizeof(elements)) std::memcpy(&elements, rest.data(), sizeof(elements));
    IBOT_CHECK_AS(CheckpointError,
                  elements == storage->second->elements && rest.size() - sizeof(elements) >= size,
                  path, ": storage ", key, ": expected ", storage->second->elements,
                  " elements at byte ", position, "; the file is damaged or cut off");
    data[key] = rest.substr(sizeof(elements), size);
    position += sizeof(elements) + size;
  }
  const auto bytes = [&](const PickleStorage& storage) {
    const auto found = data.find(storage.key);
    IBOT_CHECK_AS(CheckpointError,
                  found != data.end() && found->second.size() == storage_size(storage, path), path,
                  ": storage ", storage.key, ": found none of this size");
    return found->second;
  };
  return value_of(pickle, where, static_cast<int64_t>(file.size()), bytes);
}

}  // namespace

bool is_torch_file(const std::filesystem::path& path) {
  IBOT_CHECK(!std::filesystem::is_directory(path), "cannot read ", path.string(),
             ": is a folder; name the file of weights in it");
  const MappedFile file(path);
  return file.bytes().starts_with(kZipMagic) || stream_begin(file.bytes()) > 0;
}

TorchFile read_torch_file(const std::filesystem::path& path) {
  const MappedFile file(path);
  const auto bytes = file.bytes();
  if (bytes.starts_with(kZipMagic)) {
    return {TorchFormat::kZip, read_archive(bytes, path.string())};
  }
  const auto other = foreign_format(bytes);
  IBOT_CHECK_AS(CheckpointError, stream_begin(bytes) > 0, path.string(),
                ": expected a file of torch.save", other.empty() ? "" : ", got ", other);
  return {TorchFormat::kLegacy, read_stream(bytes, path.string())};
}

}  // namespace ibot::io
