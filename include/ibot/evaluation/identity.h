// What a result belongs to, so that nothing kept is ever taken for the result of something else.
#pragma once

#include <torch/types.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "ibot/evaluation/labeled_images.h"

namespace ibot::evaluation {

/// Everything that a result depends on, item by item: the method, weights, images and keys.
class Identity {
 public:
  /// `version` counts the changes of what `method` computes from the same inputs.
  Identity(const std::string& method, int64_t version);

  /// Such as weights, by their hash; a difference is told by the name of the item alone.
  void add_hash(const std::string& item, const std::string& hash);

  /// Images by their content, and the version of what makes pixels of it.
  void add_images(const std::string& hash);

  /// Both halves, as "images of train/" and "images of val/".
  void add_images(const LabeledImages& images);

  /// Values by "section.key", those that change results (ibot/base/option_text.h).
  void add_keys(const std::map<std::string, std::string>& values);

  /// Of these the `wanted` alone: a key "section.key", or a section "section.". What was kept
  /// before a key was known counts as kept under its value among `defaults`.
  void add_keys(const std::map<std::string, std::string>& values,
                const std::vector<std::string>& wanted,
                const std::map<std::string, std::string>& defaults);

  /// One item a line.
  std::string text() const;

  /// The method and the hashes, for a report: its options are there already.
  std::map<std::string, std::string> summary() const;

  /// What differs from an identity that was kept as text(), each item once: "weights, images of
  /// train/, linear.epochs: 2 there, 3 here"; empty where nothing does.
  std::string differences(const std::string& kept) const;

 private:
  struct Item {
    std::string name;
    std::string value;
    bool is_hash = false;
    std::string otherwise = "nothing";  // where it was not kept
  };

  void add_decoding();

  std::vector<Item> items_;
};

/// Of names, shapes, types and values.
std::string tensors_hash(const std::vector<std::pair<std::string, torch::Tensor>>& tensors);

}  // namespace ibot::evaluation
