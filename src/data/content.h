// Whether two sets of images are the same, told from as little reading as will do.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "ibot/base/hash.h"
#include "ibot/data/dataset.h"

namespace ibot::data {

/// Names of the classes and the label of each sample, in order.
void add_labels(Hash& hash, const Dataset& images);

/// Adds each of `count` files: its name, and its bytes where all together are few enough to be read
/// at once, so that a copy is the same and an edit under an old time of change is not; else its
/// size and the nanosecond of its last change.
///
///   path   where a file lies
///   name   what it is called wherever the data lie
void add_files(Hash& hash, int64_t count, const std::function<std::string(int64_t)>& path,
               const std::function<std::string(int64_t)>& name);

}  // namespace ibot::data
