// Benchmark of a database of images ranked among distractors.
#pragma once

#include <cstdint>

#include "ibot-bench/figures.h"

namespace ibot::apps {

/// Default sizes: revisited Oxford with its million of distractors and ViT-S.
struct RankingBenchOptions {
  int64_t queries = 70;
  int64_t database = 4993;
  int64_t distractors = 1001001;
  int64_t width = 384;
};

/// Ranks random features for random queries, distractors as an evaluation passes them on, in parts
/// of 512; an image is a distractor.
void bench_ranking(const RankingBenchOptions& options, const BenchRuns& runs, Figures& figures);

}  // namespace ibot::apps
