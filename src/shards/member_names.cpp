#include "shards/member_names.h"

#include <algorithm>
#include <cctype>
#include <string_view>
#include <unordered_set>

namespace ibot::data {
namespace {

struct NameParts {
  std::string_view folder;  // with its slash
  std::string_view stem;
  std::string_view extension;  // without its dot
};

NameParts parts_of(std::string_view path) {
  const size_t name = path.rfind('/') + 1;
  const size_t dot = path.rfind('.');
  return {path.substr(0, name), path.substr(name, dot - name), path.substr(dot + 1)};
}

void add_escaped(std::string_view text, std::string& key) {
  for (const char c : text) {
    if (c == '.') {
      key += "%2E";
    } else if (c == '%') {
      key += "%25";
    } else {
      key += c;
    }
  }
}

std::string plain_key(const NameParts& parts) {
  std::string key(parts.folder);
  add_escaped(parts.stem, key);
  return key;
}

}  // namespace

MemberNames::MemberNames(const Listing& listing) : listing_(listing) {
  // Files of one folder are consecutive, so names need be unique within it only.
  std::string folder;
  std::unordered_set<std::string> taken;
  for (int64_t sample = 0; sample < listing.size(); ++sample) {
    const auto path = listing.path(sample);
    const auto parts = parts_of(path);
    if (parts.folder != folder) {
      folder = parts.folder;
      taken.clear();
    }
    auto key = plain_key(parts);
    if (taken.insert(key).second) continue;
    while (!taken.insert(key).second) {
      key += "%2E";
      add_escaped(parts.extension, key);
    }
    renamed_.emplace(sample, std::move(key));
  }
}

std::string MemberNames::key(int64_t sample) const {
  const auto renamed = renamed_.find(sample);
  return renamed == renamed_.end() ? plain_key(parts_of(listing_.path(sample))) : renamed->second;
}

std::string MemberNames::extension(int64_t sample) const {
  const auto path = listing_.path(sample);
  std::string extension(parts_of(path).extension);
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return extension == "jpeg" ? "jpg" : extension;
}

}  // namespace ibot::data
