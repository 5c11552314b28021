// Identity of a set of images, from as little reading as possible.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "ibot/base/hash.h"
#include "ibot/data/dataset.h"

namespace ibot::data {

/// Adds the class names and the label of each sample, in order.
void add_labels(Hash& hash, const Dataset& images);

/// Adds each of `count` files: its name, and its bytes if all together are few enough to be read at
/// once, so that copies are equal and edits that keep the modification time are not; otherwise its
/// size and modification time in nanoseconds.
///
///   path   path of a file
///   name   its name, independent of the location of the data
void add_files(Hash& hash, int64_t count, const std::function<std::string(int64_t)>& path,
               const std::function<std::string(int64_t)>& name);

}  // namespace ibot::data
