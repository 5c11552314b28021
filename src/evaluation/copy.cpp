#include <algorithm>
#include <memory>
#include <optional>

#include "evaluation/table.h"
#include "ibot/base/error.h"
#include "ibot/base/hash.h"
#include "ibot/base/option_text.h"
#include "ibot/data/copydays_set.h"
#include "ibot/data/image_folder.h"
#include "ibot/eval/descriptors.h"
#include "ibot/eval/ranking.h"
#include "ibot/eval/whitening.h"
#include "ibot/evaluation/evaluations.h"
#include "ibot/evaluation/picture_features.h"
#include "ibot/image/thumbnail.h"

namespace ibot::evaluation {
namespace {

// Only so many of the best count.
constexpr int64_t kDepth = 20;

/// A folder of images that need not be there.
class OptionalImages {
 public:
  explicit OptionalImages(const std::string& folder) {
    if (folder.empty()) return;
    images_ = std::make_unique<data::ImageFolder>(folder);
    hash_ = images_->content_hash();
  }
  const std::string& hash() const { return hash_; }
  std::optional<Pictures> pictures(const std::string& name) const {
    if (images_ == nullptr) return std::nullopt;
    return Pictures{*images_, hash_, name};
  }

 private:
  std::unique_ptr<data::ImageFolder> images_;
  std::string hash_;
};

class CopyData : public Data {
 public:
  CopyData(const std::filesystem::path& root, const eval::CopyOptions& options)
      : set_(data::open_copydays(root)),
        whitening_(options.whitening),
        distractors_(options.distractors) {
    // Hashed once: every block names its features by its own hash.
    for (const auto& block : set_.blocks) hashes_.push_back(block.images.content_hash());
  }

  std::string hash() const override {
    Hash hash;
    for (const auto& part : hashes_) hash.add(part);
    hash.add("whitening " + whitening_.hash());
    hash.add("distractors " + distractors_.hash());
    return hash.hex();
  }

  const data::CopydaysSet& set() const { return set_; }
  Pictures block(size_t i) const {
    return {set_.blocks[i].images, hashes_[i], set_.blocks[i].name};
  }
  std::optional<Pictures> whitening() const { return whitening_.pictures("whitening"); }
  std::optional<Pictures> distractors() const { return distractors_.pictures("distractors"); }

 private:
  data::CopydaysSet set_;
  std::vector<std::string> hashes_;
  OptionalImages whitening_;
  OptionalImages distractors_;
};

/// "jpegqual/3" as a part of a metric's name.
std::string metric_of(std::string block) {
  std::replace(block.begin(), block.end(), '/', '_');
  return "map_" + block;
}

/// In percent; `first` is the row of the block's first query.
double mean_ap(const eval::Ranking& ranking, const data::CopyBlock& block, int64_t first) {
  // The official script cannot rank fewer than 20 images; here all of them count then.
  const int64_t depth = std::min(kDepth, ranking.size());
  double sum = 0.0;
  for (size_t i = 0; i < block.originals.size(); ++i) {
    auto places = ranking.places(first + static_cast<int64_t>(i), block.originals[i]);
    std::erase_if(places, [&](int64_t place) { return place >= depth; });
    // All originals count as positives, found among the first 20 or not.
    sum += eval::average_precision(places, static_cast<int64_t>(block.originals[i].size()));
  }
  return 100.0 * sum / static_cast<double>(block.originals.size());
}

class Copy : public Evaluation {
 public:
  explicit Copy(eval::CopyOptions options)
      : Evaluation({"copy",
                    "Copydays: copies of photographs found by class and pooled patch tokens",
                    {.own_data = true, .shared = true}}),
        options_(std::move(options)) {}

  std::unique_ptr<Data> open(const std::filesystem::path& root) const override {
    return std::make_unique<CopyData>(root, options_);
  }

  void prepare(const Inputs& inputs, const Listener& listener) const override {
    const auto& data = dynamic_cast<const CopyData&>(*inputs.data);
    const auto ignore = [](int64_t, const torch::Tensor&) {};
    for (size_t i = 0; i < data.set().blocks.size(); ++i) {
      visit(inputs, data.block(i), listener, ignore);
    }
    for (const auto& pictures : {data.whitening(), data.distractors()}) {
      if (pictures) visit(inputs, *pictures, listener, ignore);
    }
  }

  eval::Report run(const Inputs& inputs, const Listener& listener) const override {
    const auto& data = dynamic_cast<const CopyData&>(*inputs.data);
    warn_of_missing(data.set(), listener);
    const auto whitening = whitening_of(inputs, data, listener);
    const auto whitened = [&](const torch::Tensor& features) {
      return whitening ? whitening->apply(features) : features;
    };
    std::vector<torch::Tensor> queries;
    for (size_t i = 0; i < data.set().blocks.size(); ++i) {
      queries.push_back(whitened(features(inputs, data.block(i), listener)));
    }
    // The first block has the originals: they are queries and database at once.
    eval::Ranking ranking(torch::cat(queries), queries.front());
    if (const auto distractors = data.distractors()) {
      visit(inputs, *distractors, listener,
            [&](int64_t, const torch::Tensor& rows) { ranking.add_distractors(whitened(rows)); });
    }
    return report_of(ranking, data.set());
  }

 private:
  static void warn_of_missing(const data::CopydaysSet& set, const Listener& listener) {
    if (set.missing.empty()) return;
    listener.warning(
        concat("copy: ", set.missing.size(), " of ", set.missing.size() + set.blocks.size(),
               " blocks of Copydays are missing, the first one ", set.missing.front()));
  }

  void visit(const Inputs& inputs, const Pictures& pictures, const Listener& listener,
             const FeatureVisit& visit) const {
    visit_features(inputs.subject, pictures, method(inputs), inputs.extraction, listener, visit);
  }

  torch::Tensor features(const Inputs& inputs, const Pictures& pictures,
                         const Listener& listener) const {
    return picture_features(inputs.subject, pictures, method(inputs), inputs.extraction, listener);
  }

  std::optional<eval::Whitening> whitening_of(const Inputs& inputs, const CopyData& data,
                                              const Listener& listener) const {
    const auto pictures = data.whitening();
    if (!pictures) return std::nullopt;
    return eval::whitening_of(features(inputs, *pictures, listener));
  }

  PictureMethod method(const Inputs& inputs) const {
    const int64_t side = options_.image_size;
    return {.name = "descriptors of copies",
            .keys = {{"copy.image_size", option_text(side)}},
            .framing = [side](const data::Image& image,
                              int64_t) { return data::resized(image, side, side); },
            .embedding =
                [&inputs](const torch::Tensor& images) {
                  return eval::copy_descriptors(*inputs.subject.backbone, images);
                }};
  }

  eval::Report report_of(const eval::Ranking& ranking, const data::CopydaysSet& set) const {
    eval::Report report{.options = eval::option_values(options_),
                        .table = table_line("%-12s %8s %8s", "block", "images", "mAP")};
    int64_t first = 0;
    for (const auto& block : set.blocks) {
      const double map = mean_ap(ranking, block, first);
      // Queries of all blocks follow each other in one ranking.
      first += block.images.size();
      report.metrics[metric_of(block.name)] = map;
      report.table += table_line("%-12s %8lld %8.2f", block.name.c_str(),
                                 static_cast<long long>(block.images.size()), map);
    }
    report.metrics["images"] = static_cast<double>(ranking.size());
    const auto strong = report.metrics.find("map_strong");
    // The headline of the benchmark.
    if (strong != report.metrics.end()) report.score = strong->second;
    return report;
  }

  eval::CopyOptions options_;
};

}  // namespace

std::unique_ptr<Evaluation> make(const eval::CopyOptions& options) {
  return std::make_unique<Copy>(options);
}

}  // namespace ibot::evaluation
