// Classes of ImageNet-1k and of the sets that test classifiers of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ibot::eval {

/// WordNet ids ("n01440764", ...) of the 1000 classes, in their order.
const std::vector<std::string>& imagenet_classes();

/// The number of a WordNet id among them; -1: none of them.
int64_t imagenet_class(const std::string& name);

/// The class of ImageNet-9, 0 to 8, that a class of ImageNet-1k is part of; -1: none.
int64_t imagenet9_class(int64_t imagenet_class);

/// The 200 classes of ImageNet-A as numbers of ImageNet-1k, ascending.
const std::vector<int64_t>& imagenet_a_classes();

/// Folders of ImageNet-9: how foreground and background were put together.
const std::vector<std::string>& imagenet9_variants();

/// Folders of its nine classes, in their order.
const std::vector<std::string>& imagenet9_classes();

/// The 19 corruptions of ImageNet-C, the 15 of the benchmark first.
const std::vector<std::string>& imagenet_c_corruptions();
inline constexpr int64_t kBenchmarkCorruptions = 15;
inline constexpr int64_t kSeverities = 5;

}  // namespace ibot::eval
