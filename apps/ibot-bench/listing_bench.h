// Benchmark of a listing of many images, without the images.
#pragma once

#include <cstdint>
#include <string>

#include "ibot-bench/figures.h"

namespace ibot::apps {

/// Default sizes: ImageNet-22K.
struct ListingBenchOptions {
  std::string file;
  int64_t images = 14'197'122;
  int64_t folders = 21'841;
};

/// Times opening the listing in `file`, naming all of its images in an epoch's order, and making
/// the orders of an epoch. A file that is missing is drawn and written instead: a call that only
/// reads shows the memory that a rank needs.
void bench_listing(const ListingBenchOptions& options, int repetitions, Figures& figures);

}  // namespace ibot::apps
