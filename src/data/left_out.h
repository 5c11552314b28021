// Counts of files among the images of a data set that are not read.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace ibot::data {

/// Counts names; after a thousand distinct ones, further ones count as "others".
class Tally {
 public:
  void add(const std::string& name, int64_t count = 1);
  void add(const Tally& other);
  int64_t total() const;
  bool contains(const std::string& name) const { return counts_.count(name) > 0; }
  /// ".heic 12, .txt 3", the most frequent first, at most eight of them.
  std::string text() const;

 private:
  std::map<std::string, int64_t> counts_;
};

/// Whether a file or folder of this name is skipped: hidden (begins with a dot), or created by
/// operating systems and storage appliances: __MACOSX, @eaDir, Thumbs.db, ...
bool is_passed_over(std::string_view name);
/// Whether that holds for any component of a path except "." and "..".
bool has_part_passed_over(std::string_view path);

/// ".heic" for IMG_1.HEIC; "no ending" unless there is one of at most ten letters and digits.
std::string ending_of(std::string_view name);

struct LeftOut {
  /// Number of skipped names; a folder counts as one. `example` is the first by name.
  int64_t hidden = 0;
  std::string example;
  Tally endings;

  void add_hidden(const std::string& name);
  void add(const LeftOut& other);
  /// One line each, for the user.
  std::vector<std::string> notes() const;
};

/// The note on hidden names: "passed over 3 hidden names ...".
std::string hidden_note(const LeftOut& left_out);

}  // namespace ibot::data
