// Features as the official evaluations dump and load them.
#pragma once

#include <filesystem>

#include "ibot-eval/features.h"

namespace ibot::apps {

/// Writes DIR/trainfeat.pth and testfeat.pth, [S, F] float32 of unit length, and trainlabels.pth
/// and testlabels.pth, [S] int64, one tensor each, and files.txt, which says by their hashes that
/// they belong together. Creates the folder.
///
/// Source: evaluation/eval_knn.py of the reference implementation (dump_features).
void write_features(const std::filesystem::path& folder, FeatureBanks banks);

/// Reads what write_features or the reference wrote. There are as many classes as the largest
/// training label says. Throws RequestError, naming the file, on a missing or foreign one, on
/// tensors that do not belong together, by files.txt where it is there, and on test labels that no
/// training image has.
FeatureBanks read_features(const std::filesystem::path& folder);

}  // namespace ibot::apps
