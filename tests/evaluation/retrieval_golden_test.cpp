// Retrieval and copy detection against reference values.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "ibot/data/copydays_set.h"
#include "ibot/eval/descriptors.h"
#include "ibot/eval/retrieval.h"
#include "ibot/eval/whitening.h"
#include "ibot/image/thumbnail.h"
#include "ibot/models/backbone.h"
#include "support/golden_tensors.h"
#include "support/weights.h"

namespace ibot::eval {
namespace {

using testing::dense_case;
using testing::GoldenTensors;
using testing::ReadJson;

/// NaN stands for null.
std::vector<double> numbers(const ReadJson& list) {
  std::vector<double> values;
  for (const auto& value : list.elements()) {
    values.push_back(value.is_null() ? std::nan("") : value.get<double>());
  }
  return values;
}

void expect_near(const std::vector<double>& actual, const std::vector<double>& expected,
                 double tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    EXPECT_EQ(std::isnan(actual[i]), std::isnan(expected[i])) << i;
    if (std::isnan(expected[i])) continue;
    EXPECT_NEAR(actual[i], expected[i], tolerance) << i;
  }
}

double rounded(double value, int decimals) {
  const double scale = std::pow(10.0, decimals);
  return std::nearbyint(value * scale) / scale;
}

void check_protocol(const ProtocolResult& found, const ReadJson& expected, double tolerance) {
  SCOPED_TRACE(found.name);
  EXPECT_NEAR(found.mean_ap, expected["mAP"], tolerance);
  expect_near(found.ap, numbers(expected["AP"]), tolerance);
  expect_near(found.mean_precision, numbers(expected["mean_precision"]), tolerance);
  expect_near(found.mean_precision, numbers(expected["mean_precision_of_reference"]), tolerance);
  const auto queries = expected["precision"].elements();
  ASSERT_EQ(found.precision.size(), queries.size());
  for (size_t i = 0; i < queries.size(); ++i) {
    expect_near(found.precision[i], numbers(queries[i]), tolerance);
  }
  EXPECT_DOUBLE_EQ(rounded(100.0 * found.mean_ap, 2), expected["published_style"]["mAP"]);
}

void check_revisited(const ReadJson& json, const GoldenTensors& tensors, double tolerance) {
  const Ranking ranking(tensors.at("query_features"), tensors.at("database_features"));
  EXPECT_TENSOR_EQUAL(ranking.order(), tensors.at("ranks"));
  std::vector<Relevance> truth;
  for (const auto& query : json["ground_truth"].elements()) {
    const auto places = [&](const char* key) {
      std::vector<int64_t> values;
      for (const auto& value : query[key].elements()) values.push_back(value.get<int64_t>());
      return values;
    };
    truth.push_back({places("easy"), places("hard"), places("junk")});
  }
  for (const auto& [name, expected] : json["results"].items()) {
    const auto k = expected["precision_at"].get<std::vector<int64_t>>();
    const auto results = revisited_results(ranking, truth, k);
    const auto found =
        std::find_if(results.begin(), results.end(),
                     [&, &key = name](const auto& result) { return result.name == key; });
    ASSERT_NE(found, results.end()) << name;
    check_protocol(*found, expected, tolerance);
  }
}

std::shared_ptr<models::Backbone> backbone_of(const testing::GoldenCase& golden) {
  const auto config = golden.json["features"]["config"];
  models::BackboneOptions options;
  options.arch = "vit_tiny";
  options.patch_size = config["patch"];
  options.mlp_ratio = config["mlp_ratio"];
  options.qkv_bias = config["qkv_bias"];
  options.embed_dim = config["embed_dim"];
  options.depth = {config["depth"].get<int64_t>()};
  options.heads = {config["num_heads"].get<int64_t>()};
  options.image_size = config["img"];
  auto backbone = models::build_backbone(options, models::Role::kTeacher);
  const auto weights = golden.json["features"]["weights"].get<std::string>();
  testing::load_weights(*backbone, io::read_safetensors(golden.folder / weights).tensors);
  backbone->eval();
  return backbone;
}

void check_features(const testing::GoldenCase& golden, const GoldenTensors& tensors) {
  const torch::NoGradGuard no_grad;
  const auto backbone = backbone_of(golden);
  std::vector<std::vector<int64_t>> sizes;
  const Embedding embedding = [&](const torch::Tensor& images) {
    sizes.push_back(images.sizes().slice(2).vec());
    return image_features(*backbone, images, {Pooling::kClass, 1});
  };
  const auto scaled = golden.json["features"]["scaled_sizes"].elements();
  for (size_t i = 0; i < scaled.size(); ++i) {
    const auto name = "image" + std::to_string(i);
    const auto images = (tensors.at(name).to(torch::kFloat) - 128) / 64;
    sizes.clear();
    tensors.compare(multi_scale_features(embedding, images, {1.0, std::sqrt(0.5), 0.5})[0],
                    name + ".multiscale");
    EXPECT_EQ(sizes, scaled[i].get<std::vector<std::vector<int64_t>>>());
    const auto single = embedding(images)[0];
    const auto expected = tensors.at(name + ".single");
    const bool unit = std::abs(expected.norm().item<double>() - 1.0) < 1e-3;
    tensors.compare(unit ? single / single.norm() : single, name + ".single");
  }
}

data::Image image_of(const torch::Tensor& pixels) {
  data::Image image(pixels.size(0), pixels.size(1));
  std::copy_n(pixels.contiguous().const_data_ptr<uint8_t>(), pixels.numel(), image.row(0));
  return image;
}

void check_thumbnails(const ReadJson& json, const GoldenTensors& tensors) {
  const auto cases = json["thumbnail_sizes"].elements();
  int64_t limit = 0;
  for (const auto& size : cases) {
    const auto from = size["size"].get<std::vector<int64_t>>();
    const auto to = size["result"].get<std::vector<int64_t>>();
    if (from != to) limit = std::max({limit, to[0], to[1]});
  }
  for (const auto& size : cases) {
    const auto from = size["size"].get<std::vector<int64_t>>();
    const auto to = size["result"].get<std::vector<int64_t>>();
    EXPECT_EQ(data::thumbnail_size({from[1], from[0]}, {limit, limit}),
              (data::ImageSize{to[1], to[0]}))
        << from[0] << " x " << from[1];
  }
  const auto limits = json["thumbnail"]["limits"].get<std::vector<int64_t>>();
  EXPECT_EQ(json["tolerance"]["thumbnail"].get<std::string>(), "1 grey level");
  const auto source = image_of(tensors.at("thumbnail.source"));
  for (size_t i = 0; i < limits.size(); ++i) {
    const auto expected = tensors.at("thumbnail.result" + std::to_string(i)).permute({2, 0, 1});
    EXPECT_TENSOR_EQUAL(data::thumbnail(source, {limits[i], limits[i]}), expected.contiguous());
  }
}

void check_whitening(const ReadJson& json, const GoldenTensors& tensors) {
  const auto whitening = whitening_of(tensors.at("whitening.features"));
  const auto unit = [&](const char* name) {
    return unit_length(whitening.apply(tensors.at(name)));
  };
  const auto similarity = unit("whitening.queries").mm(unit("whitening.database").t());
  EXPECT_TENSOR_NEAR(similarity, tensors.at("whitening.similarity"),
                     {0.0, json["tolerance"]["whitening_similarity"]["atol"]});
  const auto sorted = [](const torch::Tensor& values) { return std::get<0>(values.sort()); };
  EXPECT_TENSOR_NEAR(sorted(whitening.eigenvalues), sorted(tensors.at("whitening.eigenvalues")),
                     tensors.tolerance());
}

void check_copies(const ReadJson& json, const GoldenTensors& tensors, double tolerance) {
  const auto originals = json["original_files"].get<std::vector<std::string>>();
  const auto strong = json["strong_files"].get<std::vector<std::string>>();
  const Ranking ranking(tensors.at("copydays.queries"), tensors.at("copydays.database"));
  const auto& top = tensors.at("copydays.top20");
  EXPECT_TENSOR_EQUAL(ranking.order().slice(0, 0, top.size(1)).t().contiguous(), top);
  int64_t query = 0;
  for (const auto& block : json["queries_in_order"].get<std::vector<std::string>>()) {
    SCOPED_TRACE(block);
    const auto rows = data::originals_of(block, block == "strong" ? strong : originals, originals);
    std::vector<double> found;
    for (const auto& wanted : rows) {
      auto places = ranking.places(query++, wanted);
      std::erase_if(places, [&](int64_t place) { return place >= top.size(1); });
      found.push_back(average_precision(places, static_cast<int64_t>(wanted.size())));
    }
    const auto expected = json["results"][block];
    expect_near(found, numbers(expected["AP"]), tolerance);
    double sum = 0;
    for (const double ap : found) sum += ap;
    EXPECT_NEAR(sum / static_cast<double>(found.size()), expected["mAP"], tolerance);
  }
  EXPECT_EQ(query, ranking.order().size(1));
}

TEST(RetrievalDense, EverythingIsAsInTheReference) {
  const auto golden = dense_case("13_retrieval", "retrieval");
  const GoldenTensors tensors(golden.tensors(), golden.tolerance());
  const double scores = golden.json["tolerance"]["scores"];
  check_revisited(golden.json["revisited"], tensors, scores);
  check_features(golden, tensors);
  check_thumbnails(golden.json, tensors);
  check_whitening(golden.json, tensors);
  check_copies(golden.json["copydays"], tensors, scores);
  tensors.expect_all_used();
  golden.json.expect_all_read({"smallest_similarity_gap", "features/rule", "thumbnail/rule",
                               "thumbnail/pillow", "whitening", "copydays/rule",
                               "tolerance/exact"});
}

}  // namespace
}  // namespace ibot::eval
