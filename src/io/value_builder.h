// From the nodes of a pickle to values.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "ibot/io/torch_value.h"
#include "io/pickle.h"

namespace ibot::io {

/// The bytes that belong to a storage of a file.
using StorageBytes = std::function<std::string_view(const PickleStorage& storage)>;

/// The root's value; arrays of NumPy's numbers are tensors. Throws CheckpointError, its text
/// beginning with `where`, on containers that hold themselves, and on tensors that need more than
/// a small multiple of the `file_size` bytes of the file.
Value value_of(const Pickle& pickle, const std::string& where, int64_t file_size,
               const StorageBytes& bytes);

}  // namespace ibot::io
