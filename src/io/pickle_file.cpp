#include "ibot/io/pickle_file.h"

#include "ibot/base/error.h"
#include "ibot/io/file.h"
#include "io/value_builder.h"

namespace ibot::io {

Value read_pickle_file(const std::filesystem::path& path) {
  const MappedFile file(path);
  const auto where = path.string();
  const auto pickle = read_pickle(file.bytes(), where);
  const auto no_storage = [&](const PickleStorage&) -> std::string_view {
    throw CheckpointError(concat(where, ": expected a plain pickle, got tensors of PyTorch"));
  };
  return value_of(pickle, where, static_cast<int64_t>(file.bytes().size()), no_storage);
}

}  // namespace ibot::io
