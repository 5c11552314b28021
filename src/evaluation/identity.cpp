#include "ibot/evaluation/identity.h"

#include <algorithm>
#include <set>
#include <sstream>

#include "ibot/base/error.h"
#include "ibot/base/hash.h"
#include "ibot/codec/decode.h"

namespace ibot::evaluation {
namespace {

constexpr const char* kSeparator = ": ";

/// Values by the names of items.
std::map<std::string, std::string> items_in(const std::string& text) {
  std::map<std::string, std::string> items;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    // The first separator: names have none, values may.
    const auto end = line.find(kSeparator);
    if (end != std::string::npos) items.emplace(line.substr(0, end), line.substr(end + 2));
  }
  return items;
}

void append(std::string& list, const std::string& entry) {
  list += (list.empty() ? "" : ", ") + entry;
}

}  // namespace

Identity::Identity(const std::string& method, int64_t version) {
  items_.push_back({"method", concat(method, " ", version), false});
}

void Identity::add_hash(const std::string& item, const std::string& hash) {
  items_.push_back({item, hash, true});
}

void Identity::add_images(const std::string& hash) {
  add_hash("images", hash);
  add_decoding();
}

void Identity::add_images(const LabeledImages& images) {
  add_decoding();
  add_hash("images of train/", images.hash(data::Split::kTrain));
  add_hash("images of val/", images.hash(data::Split::kVal));
}

void Identity::add_decoding() {
  items_.push_back({"decoding", std::to_string(data::kDecodingVersion), false});
}

void Identity::add_keys(const std::map<std::string, std::string>& values) {
  for (const auto& [key, value] : values) items_.push_back({key, value, false});
}

void Identity::add_keys(const std::map<std::string, std::string>& values,
                        const std::vector<std::string>& wanted,
                        const std::map<std::string, std::string>& defaults) {
  for (const auto& [key, value] : values) {
    const auto holds = [&, name = key](const std::string& want) {
      // "optim." stands for the whole section.
      return want.back() == '.' ? name.starts_with(want) : name == want;
    };
    if (std::none_of(wanted.begin(), wanted.end(), holds)) continue;
    const auto usual = defaults.find(key);
    items_.push_back({key, value, false, usual == defaults.end() ? "nothing" : usual->second});
  }
}

std::string Identity::text() const {
  std::string lines;
  for (const auto& item : items_) lines += concat(item.name, kSeparator, item.value, '\n');
  return lines;
}

std::map<std::string, std::string> Identity::summary() const {
  std::map<std::string, std::string> items{{items_.front().name, items_.front().value}};
  for (const auto& item : items_) {
    if (item.is_hash) items.emplace(item.name, item.value);
  }
  return items;
}

std::string Identity::differences(const std::string& kept) const {
  auto there = items_in(kept);
  std::string differing;
  for (const auto& [name, value, is_hash, otherwise] : items_) {
    const auto found = there.find(name);
    // A key that is younger than the kept text had its default then.
    const auto before = found == there.end() ? otherwise : found->second;
    if (found != there.end()) there.erase(found);
    if (before == value) continue;
    append(differing, is_hash ? name : concat(name, ": ", before, " there, ", value, " here"));
  }
  for (const auto& [name, value] : there) {
    append(differing, concat(name, ": ", value, " there, nothing here"));
  }
  return differing;
}

std::string tensors_hash(const std::vector<std::pair<std::string, torch::Tensor>>& tensors) {
  Hash hash;
  for (const auto& [name, tensor] : tensors) {
    const auto host = tensor.to(torch::kCPU).contiguous();
    // Type and shape too: equal bytes may be other tensors.
    hash.add(concat(name, ' ', host.dtype().name(), ' ', host.sizes(), '\n'));
    hash.add(host.const_data_ptr(), host.nbytes());
  }
  return hash.hex();
}

}  // namespace ibot::evaluation
