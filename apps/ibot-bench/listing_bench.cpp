#include "ibot-bench/listing_bench.h"

#include <cstdio>
#include <filesystem>

#include "common/logging.h"
#include "common/output_folder.h"
#include "common/run_main.h"
#include "ibot/data/listing.h"
#include "ibot/loading/sampler.h"

namespace ibot::apps {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRoot = "/drawn";

/// A listing with names like ImageNet's, n00012345/n00012345_678.JPEG.
data::Listing drawn_listing(const ListingBenchOptions& options) {
  std::vector<std::string> class_names;
  std::vector<data::ListedFolder> folders;
  data::NameTableBuilder names;
  char text[64];
  for (int64_t label = 0; label < options.folders; ++label) {
    std::snprintf(text, sizeof(text), "n%08lld", static_cast<long long>(label));
    class_names.emplace_back(text);
    folders.push_back({.path = text, .label = label, .first_sample = names.size()});
    const int64_t end = options.images * (label + 1) / options.folders;
    while (names.size() < end) {
      std::snprintf(text, sizeof(text), "n%08lld_%lld.JPEG", static_cast<long long>(label),
                    static_cast<long long>(names.size() % 100'000));
      names.add(text);
    }
  }
  return {std::move(class_names), std::move(folders), names.build(), 0};
}

}  // namespace

void bench_listing(const ListingBenchOptions& options, int repetitions, Figures& figures) {
  if (!fs::exists(options.file)) {
    check_file(options.file);
    drawn_listing(options).write(options.file, kRoot);
    log_info(concat("wrote ", options.images, " names to ", options.file,
                    "; the same command times them now"));
    return;
  }
  const auto open = [&] {
    auto listing = data::read_listing(options.file, kRoot);
    IBOT_CHECK_AS(RequestError, listing, options.file,
                  ": expected a listing drawn by this command");
    return std::move(*listing);
  };
  const int64_t size = open().size();
  const auto time = [&](const char* name, const std::function<void()>& work) {
    figures.measure({.name = name, .images = static_cast<double>(size)},
                    {.repetitions = repetitions}, work);
  };
  time("listing.open", [&] { open(); });
  const auto listing = open();
  time("listing.order_of_8_ranks", [&] { data::epoch_order(size, 0, 0, {0, 8}); });
  time("listing.stream_order_of_8_ranks", [&] { data::stream_order(size, 0, 0, {0, 8}); });
  // An eighth of all names, scattered: what one rank of eight reads in an epoch.
  size_t characters = 0;
  time("listing.epoch_of_8_ranks", [&] {
    for (const int64_t sample : data::epoch_order(size, 0, 0, {0, 8})) {
      characters += listing.path(sample).size();
    }
  });
  IBOT_CHECK(characters > 0, options.file, ": expected names");
}

}  // namespace ibot::apps
