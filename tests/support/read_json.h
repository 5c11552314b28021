// A description whose every field must be read.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace ibot::testing {

/// What a ReadJson turns into without being asked.
template <class T>
struct IsPlain : std::is_arithmetic<T> {};
template <>
struct IsPlain<std::string> : std::true_type {};
template <class T>
struct IsPlain<std::vector<T>> : IsPlain<T> {};
template <class T, size_t N>
struct IsPlain<std::array<T, N>> : IsPlain<T> {};

/// JSON that notes which of its fields are read, so that a test can tell those that it ignores: a
/// case of other values than the known ones passes only by reading what it says.
class ReadJson {
 public:
  ReadJson() = default;
  explicit ReadJson(nlohmann::json root)
      : document_(std::make_shared<Document>(Document{std::move(root), {}})) {}

  ReadJson at(const std::string& key) const { return {document_, pointer_ / key}; }
  ReadJson at(size_t index) const { return {document_, pointer_ / index}; }
  ReadJson operator[](const std::string& key) const { return at(key); }
  ReadJson operator[](const char* key) const { return at(std::string(key)); }
  template <class Index, class = std::enable_if_t<std::is_integral_v<Index>>>
  ReadJson operator[](Index index) const {
    return at(static_cast<size_t>(index));
  }

  template <class T>
  T get() const {
    document_->read.insert(pointer_.to_string());
    return raw().get<T>();
  }
  template <class T, class = std::enable_if_t<IsPlain<T>::value>>
  operator T() const {
    return get<T>();
  }
  template <class T>
  T value(const std::string& key, T otherwise) const {
    return contains(key) ? at(key).template get<T>() : otherwise;
  }

  bool contains(const std::string& key) const { return raw().contains(key); }
  size_t size() const { return raw().size(); }
  bool is_array() const { return raw().is_array(); }
  bool is_object() const { return raw().is_object(); }
  bool is_null() const {
    note_empty();
    return raw().is_null();
  }

  std::vector<ReadJson> elements() const {
    note_empty();
    std::vector<ReadJson> elements;
    for (size_t i = 0; i < size(); ++i) elements.push_back(at(i));
    return elements;
  }
  std::vector<std::pair<std::string, ReadJson>> items() const {
    note_empty();
    std::vector<std::pair<std::string, ReadJson>> items;
    for (const auto& [key, value] : raw().items()) items.emplace_back(key, at(key));
    return items;
  }

  /// Without noting it.
  const nlohmann::json& raw() const { return document_->root.at(pointer_); }

  /// Fails for each field of the whole document that was not read, but for those that only tell a
  /// reader what is what, and those at or below a path of `elsewhere`, such as `config/epochs`, in
  /// which the elements of a list have no number and `*` is any name.
  void expect_all_read(const std::set<std::string>& elsewhere = {}) const {
    std::map<std::string, size_t> unread;
    const auto flat = document_->root.flatten();
    for (const auto& [pointer, value] : flat.items()) {
      const auto path = without_numbers(pointer);
      if (!was_read(pointer) && !is_left_out(path, elsewhere)) ++unread[path];
    }
    for (const auto& [path, count] : unread) {
      ADD_FAILURE() << path << ": " << count << " of the case's values are read by nothing here";
    }
  }

 private:
  using Pointer = nlohmann::json::json_pointer;
  struct Document {
    nlohmann::json root;
    std::set<std::string> read;
  };

  ReadJson(std::shared_ptr<Document> document, Pointer pointer)
      : document_(std::move(document)), pointer_(std::move(pointer)) {}

  /// Nothing more can be read from a null or an empty list: asking is reading.
  void note_empty() const {
    if (raw().empty()) document_->read.insert(pointer_.to_string());
  }

  bool was_read(const std::string& pointer) const {
    for (Pointer at(pointer); !at.empty(); at.pop_back()) {
      if (document_->read.count(at.to_string()) > 0) return true;
    }
    return document_->read.count("") > 0;
  }

  static bool is_left_out(const std::string& path, const std::set<std::string>& elsewhere) {
    static const std::set<std::string> kForReaders{"what",  "meaning", "note",
                                                   "notes", "shapes",  "float32_noise"};
    const auto parts = split(path);
    for (const auto& part : parts) {
      if (kForReaders.count(part) > 0) return true;
    }
    constexpr std::string_view kDouble = "_float64";
    const auto& name = parts.back();
    if (name.size() > kDouble.size() && name.substr(name.size() - kDouble.size()) == kDouble) {
      return true;
    }
    return std::any_of(elsewhere.begin(), elsewhere.end(),
                       [&](const auto& known) { return begins_with(parts, split(known)); });
  }

  static bool begins_with(const std::vector<std::string>& parts,
                          const std::vector<std::string>& beginning) {
    return beginning.size() <= parts.size() &&
           std::equal(
               beginning.begin(), beginning.end(), parts.begin(),
               [](const auto& known, const auto& part) { return known == "*" || known == part; });
  }

  static std::vector<std::string> split(const std::string& path) {
    std::vector<std::string> parts;
    for (size_t begin = 0; begin <= path.size();) {
      const auto end = std::min(path.find('/', begin), path.size());
      parts.push_back(path.substr(begin, end - begin));
      begin = end + 1;
    }
    return parts;
  }

  /// "/steps/3/lr" becomes "steps/lr".
  static std::string without_numbers(const std::string& pointer) {
    std::string path;
    for (Pointer at(pointer); !at.empty(); at.pop_back()) {
      const auto& name = at.back();
      if (name.find_first_not_of("0123456789") == std::string::npos) continue;
      path = path.empty() ? name : name + "/" + path;
    }
    return path;
  }

  std::shared_ptr<Document> document_;
  Pointer pointer_;
};

inline ReadJson read_json(const std::filesystem::path& path) {
  std::ifstream file(path);
  return ReadJson(nlohmann::json::parse(file));
}

/// For what has one value in every network here: a case of another is out of reach and says so.
template <class T>
void expect_built_in(const ReadJson& field, const T& value) {
  EXPECT_EQ(field.get<T>(), value) << "has no other value here";
}

}  // namespace ibot::testing
