#include "ibot/eval/retrieval.h"

#include <cmath>
#include <optional>

#include "evaluation/oblong_images.h"
#include "evaluation/table.h"
#include "ibot/base/hash.h"
#include "ibot/base/option_text.h"
#include "ibot/codec/decode.h"
#include "ibot/data/image_folder.h"
#include "ibot/data/revisited_set.h"
#include "ibot/eval/descriptors.h"
#include "ibot/evaluation/evaluations.h"
#include "ibot/evaluation/picture_features.h"
#include "ibot/image/thumbnail.h"

namespace ibot::evaluation {
namespace {

class RevisitedData : public Data {
 public:
  RevisitedData(const std::filesystem::path& root, const eval::RetrievalOptions& options)
      : set_(data::open_revisited(root, options.dataset)),
        queries_hash_(set_.queries.content_hash()),
        database_hash_(set_.database.content_hash()) {
    if (options.distractors.empty()) return;
    distractors_.emplace(options.distractors);
    distractors_hash_ = distractors_->content_hash();
  }

  std::string hash() const override {
    Hash hash;
    for (const auto& part : {set_.truth_hash, queries_hash_, database_hash_, distractors_hash_}) {
      hash.add(part);
    }
    return hash.hex();
  }

  const std::vector<data::QueryTruth>& truth() const { return set_.truth; }
  Pictures queries() const { return {set_.queries, queries_hash_, "queries"}; }
  Pictures database() const { return {set_.database, database_hash_, "database"}; }
  std::optional<Pictures> distractors() const {
    if (!distractors_) return std::nullopt;
    return Pictures{*distractors_, distractors_hash_, "distractors"};
  }

 private:
  data::RevisitedSet set_;
  std::string queries_hash_;
  std::string database_hash_;
  std::optional<data::ImageFolder> distractors_;
  std::string distractors_hash_;
};

/// The part of an image that lies in a box of the ground truth, at least a pixel.
data::Box pixels_in(const std::array<double, 4>& box, const data::Image& image) {
  const auto within = [](double at, int64_t least, int64_t most) {
    return std::clamp(static_cast<int64_t>(std::nearbyint(at)), least, most);
  };
  const auto left = within(box[0], 0, image.width() - 1);
  const auto top = within(box[1], 0, image.height() - 1);
  return {top, left, within(box[3], top + 1, image.height()) - top,
          within(box[2], left + 1, image.width()) - left};
}

bool within(const std::array<double, 4>& box, const data::ImageHeader& image) {
  // Boxes are not of whole pixels: the last one may be rounded up.
  return box[0] >= -1.0 && box[1] >= -1.0 && box[0] < box[2] && box[1] < box[3] &&
         box[2] <= static_cast<double>(image.width) + 1.0 &&
         box[3] <= static_cast<double>(image.height) + 1.0;
}

void check_boxes(const data::Dataset& queries, const std::vector<data::QueryTruth>& truth) {
  for (size_t i = 0; i < truth.size(); ++i) {
    const auto& box = truth[i].box;
    IBOT_CHECK_AS(ConfigError, box != decltype(data::QueryTruth::box){},
                  "retrieval.query_boxes: expected a ground truth with the boxes of queries, found "
                  "one without");
    const auto query = static_cast<int64_t>(i);
    const auto image = data::read_header(queries.read(query), queries.path(query));
    IBOT_CHECK_AS(DataError, within(box, image), queries.path(query),
                  ": retrieval.query_boxes: expected a box within its ", image.width, " x ",
                  image.height, " pixels, got left ", box[0], ", top ", box[1], ", right ", box[2],
                  ", bottom ", box[3], "; is this the ground truth of other images?");
  }
}

/// A line of the table, its cells right-aligned.
std::string row(const std::string& name, const std::vector<std::string>& cells) {
  std::string line = table_line("%8s", name.c_str());
  for (const auto& cell : cells) {
    line.pop_back();
    line += table_line(" %8s", cell.c_str());
  }
  return line;
}

/// "-" where no query has an image to find.
std::string percent(double share) {
  if (std::isnan(share)) return "-";
  auto text = table_line("%.2f", 100.0 * share);
  text.pop_back();
  return text;
}

class Retrieval : public Evaluation {
 public:
  explicit Retrieval(eval::RetrievalOptions options)
      : Evaluation({"retrieval",
                    "revisited Oxford or Paris: images ranked by their class token",
                    {.own_data = true, .shared = true}}),
        options_(std::move(options)) {}

  std::unique_ptr<Data> open(const std::filesystem::path& root) const override {
    auto data = std::make_unique<RevisitedData>(root, options_);
    if (options_.query_boxes) check_boxes(data->queries().images, data->truth());
    return data;
  }

  void prepare(const Inputs& inputs, const Listener& listener) const override {
    check_takes_oblong(inputs.subject, about().name);
    const auto& data = dynamic_cast<const RevisitedData&>(*inputs.data);
    const auto ignore = [](int64_t, const torch::Tensor&) {};
    visit(inputs, data.queries(), queries(inputs), listener, ignore);
    visit(inputs, data.database(), database(inputs), listener, ignore);
    if (data.distractors()) visit(inputs, *data.distractors(), database(inputs), listener, ignore);
  }

  eval::Report run(const Inputs& inputs, const Listener& listener) const override {
    check_takes_oblong(inputs.subject, about().name);
    const auto& data = dynamic_cast<const RevisitedData&>(*inputs.data);
    eval::Ranking ranking(features(inputs, data.queries(), queries(inputs), listener),
                          features(inputs, data.database(), database(inputs), listener));
    if (data.distractors()) {
      visit(inputs, *data.distractors(), database(inputs), listener,
            [&](int64_t, const torch::Tensor& rows) { ranking.add_distractors(rows); });
    }
    std::vector<eval::Relevance> truth;
    for (const auto& query : data.truth()) truth.push_back({query.easy, query.hard, query.junk});
    return report_of(eval::revisited_results(ranking, truth, options_.k), ranking.size());
  }

 private:
  static void visit(const Inputs& inputs, const Pictures& pictures, const PictureMethod& method,
                    const Listener& listener, const FeatureVisit& visit) {
    visit_features(inputs.subject, pictures, method, inputs.extraction, listener, visit);
  }

  static torch::Tensor features(const Inputs& inputs, const Pictures& pictures,
                                const PictureMethod& method, const Listener& listener) {
    return picture_features(inputs.subject, pictures, method, inputs.extraction, listener);
  }

  PictureMethod database(const Inputs& inputs) const {
    const data::ImageSize limits{options_.longest_side, options_.longest_side};
    return {.name = "features of thumbnails",
            .keys = {{"retrieval.longest_side", option_text(options_.longest_side)},
                     {"retrieval.multi_scale", option_text(options_.multi_scale)}},
            .framing = [limits](const data::Image& image,
                                int64_t) { return data::thumbnail(image, limits); },
            .embedding = embedding(inputs),
            // As the reference: some files of the sets end early.
            .accepts_truncated = true,
            .smallest_scale = options_.multi_scale ? 0.5 : 1.0};
  }

  PictureMethod queries(const Inputs& inputs) const {
    auto method = database(inputs);
    if (!options_.query_boxes) return method;
    const auto& data = dynamic_cast<const RevisitedData&>(*inputs.data);
    // Cropped queries are other pictures: their features are kept apart.
    method.keys.emplace("boxes", data.hash());
    const data::ImageSize limits{options_.longest_side, options_.longest_side};
    method.framing = [&data, limits](const data::Image& image, int64_t query) {
      return data::thumbnail(image, pixels_in(data.truth()[query].box, image), limits);
    };
    return method;
  }

  eval::Embedding embedding(const Inputs& inputs) const {
    const auto single = [&inputs](const torch::Tensor& images) {
      return eval::image_features(*inputs.subject.backbone, images, inputs.extraction.features);
    };
    if (!options_.multi_scale) return single;
    return [single](const torch::Tensor& images) {
      // Scales 1, 1/√2 and 1/2 of the reference.
      return eval::multi_scale_features(single, images, {1.0, std::sqrt(0.5), 0.5});
    };
  }

  eval::Report report_of(const std::vector<eval::ProtocolResult>& results, int64_t ranked) const {
    std::vector<std::string> names{"mAP"};
    for (const int64_t k : options_.k) names.push_back(concat("mP@", k));
    eval::Report report{.options = eval::option_values(options_), .table = row("", names)};
    for (const auto& result : results) {
      std::vector<double> values{result.mean_ap};
      values.insert(values.end(), result.mean_precision.begin(), result.mean_precision.end());
      std::vector<std::string> shown;
      for (size_t i = 0; i < values.size(); ++i) {
        const auto metric = i == 0 ? std::string("map") : concat("mp", options_.k[i - 1]);
        report.metrics[metric + "_" + result.name] = 100.0 * values[i];
        shown.push_back(percent(values[i]));
      }
      report.table += row(result.name, shown);
    }
    report.metrics["images"] = static_cast<double>(ranked);
    report.score = report.metrics.at("map_medium");
    return report;
  }

  eval::RetrievalOptions options_;
};

}  // namespace

std::unique_ptr<Evaluation> make(const eval::RetrievalOptions& options) {
  return std::make_unique<Retrieval>(options);
}

}  // namespace ibot::evaluation
