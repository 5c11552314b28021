// What lies among the images of a data set and is not read, counted for the user.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace ibot::data {

/// Counts names; beyond a thousand different ones, further ones count as "others".
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

/// Whether a file or folder of this name is hidden (begins with a dot), or is one that operating
/// systems and storage appliances leave in users' folders: __MACOSX, @eaDir, Thumbs.db, ...
bool is_passed_over(std::string_view name);
/// Whether that holds for any part of a path, "." and ".." apart.
bool has_part_passed_over(std::string_view path);

/// ".heic" for IMG_1.HEIC; "no ending" where there is none of at most ten letters and digits.
std::string ending_of(std::string_view name);

struct LeftOut {
  /// Hidden names and what systems leave; a folder counts as one. `example` is the first by name.
  int64_t hidden = 0;
  std::string example;
  Tally endings;

  void add_hidden(const std::string& name);
  void add(const LeftOut& other);
  /// A line each, for the user.
  std::vector<std::string> notes() const;
};

/// Of hidden names: "passed over 3 hidden names ...".
std::string hidden_note(const LeftOut& left_out);

}  // namespace ibot::data
