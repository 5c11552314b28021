#include "data/content.h"

#include <sys/stat.h>

#include <algorithm>
#include <vector>

#include "data/file_bytes.h"
#include "data/file_time.h"
#include "data/parallel.h"
#include "ibot/base/error.h"

namespace ibot::data {
namespace {

// Asking for a file's state waits for the file system more than for the processor.
constexpr int64_t kThreads = 16;
/// Sets below this size are read in whole, larger ones told by size and time of their files.
constexpr int64_t kReadAtMost = 64 << 20;
constexpr int64_t kUnreadable = -1;

struct FileState {
  int64_t bytes = kUnreadable;
  int64_t mark = 0;  // nanosecond of the last change, or hash of the content
};

FileState state_of(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return {};
  return {status.st_size, modified_ns(status)};
}

/// XXH3 of what `read` returns; kUnreadable where it throws.
int64_t hash_of(const std::function<std::vector<uint8_t>()>& read) {
  try {
    const auto bytes = read();
    return static_cast<int64_t>(short_hash(bytes.data(), bytes.size()));
  } catch (const DataError&) {
    return kUnreadable;
  }
}

/// With its end: "ab", "c" and "a", "bc" differ.
void add_text(Hash& hash, const std::string& text) { hash.add(text.c_str(), text.size() + 1); }

template <class T>
void add_all(Hash& hash, const std::vector<T>& values) {
  hash.add(values.data(), values.size() * sizeof(T));
}

}  // namespace

void add_labels(Hash& hash, const Dataset& images) {
  for (const auto& name : images.class_names()) add_text(hash, name);
  std::vector<int64_t> labels(images.size());
  for (int64_t i = 0; i < images.size(); ++i) labels[i] = images.label(i);
  add_all(hash, labels);
}

void add_files(Hash& hash, int64_t count, const std::function<std::string(int64_t)>& path,
               const std::function<std::string(int64_t)>& name) {
  std::vector<FileState> states(count);
  const int64_t threads = std::min(count, kThreads);
  for_each(count, threads, [&](int64_t i) { states[i] = state_of(path(i)); });
  int64_t bytes = 0;
  // Sizes stay part of the hash where contents are read.
  for (const auto& state : states) bytes += std::max<int64_t>(state.bytes, 0);
  if (bytes <= kReadAtMost) {
    for_each(count, threads,
             [&](int64_t i) { states[i].mark = hash_of([&] { return file_bytes(path(i)); }); });
  }
  for (int64_t i = 0; i < count; ++i) add_text(hash, name(i));
  add_all(hash, states);
}

std::string Dataset::content_hash() const {
  std::vector<int64_t> marks(size());
  for_each(size(), std::min(size(), kThreads),
           [&](int64_t i) { marks[i] = hash_of([&] { return read(i); }); });
  Hash hash;
  add_labels(hash, *this);
  add_all(hash, marks);
  return hash.hex();
}

}  // namespace ibot::data
