#include "ibot/evaluation/evaluate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "evaluation/drawn_images.h"
#include "evaluation/toys.h"
#include "ibot/base/error.h"
#include "ibot/eval/knn.h"
#include "ibot/evaluation/evaluations.h"
#include "ibot/loading/labeled_loader.h"
#include "ibot/models/network.h"
#include "support/tiny.h"

namespace ibot::evaluation {
namespace {

using testing::DrawnImages;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

/// Embeds all of a set by hand: pixels, normalization, class token.
eval::FeatureBank embedded(const Subject& subject, const data::Dataset& images) {
  data::LabeledLoader loader(
      images, {.transform = {.resize_size = 16, .crop_size = 16}, .batch_size = 100, .workers = 1});
  const auto batch = *loader.next();
  const torch::NoGradGuard no_grad;
  subject.backbone->eval();
  return {subject.backbone->forward(batch::normalized(batch.image, {})).class_token, batch.label,
          batch.sample_id, ""};
}

TEST(Evaluate, KnnIsThatOfFeaturesEmbeddedByHand) {
  const DrawnImages drawn;
  const LabeledImages images(drawn.root(), {});
  const auto subject = testing::tiny_subject();
  Source source(subject, &images, testing::small_images());
  const auto report = evaluate(*make(eval::KnnOptions{{1, 5}, 0.07}), source);
  const auto expected = eval::classify_knn(embedded(subject, images.train()),
                                           embedded(subject, images.test()), {{1, 5}, 0.07});
  EXPECT_EQ(report.metrics, eval::knn_metrics(expected));
  EXPECT_EQ(report.task, "knn");
  EXPECT_EQ(report.identity.at("weights"), subject.hash);
  EXPECT_EQ(report.identity.at("images of val/"), images.hash(data::Split::kVal));
  EXPECT_EQ(std::get<int64_t>(report.options.at("crop_size")), 16);
  EXPECT_THAT(report.table, HasSubstr("top-1"));
}

TEST(Evaluate, EvaluationsOfOneSourceShareItsFeatures) {
  const DrawnImages drawn;
  const LabeledImages images(drawn.root(), {});
  const auto subject = testing::tiny_subject();
  int extracted = 0;
  Source source(subject, &images, testing::small_images(), {.progress = [&](const Stage& stage) {
                  extracted += stage.unit == "images" && stage.finished;
                }});
  evaluate(*make(eval::KmeansOptions{}), source);
  EXPECT_EQ(extracted, 1);  // of val/ alone
  evaluate(*make(eval::KnnOptions{{1}, 0.07}), source);
  evaluate(*make(eval::LogisticOptions{}), source);
  evaluate(testing::Centroids(), source);
  EXPECT_EQ(extracted, 2);
}

// What is kept serves the same weights alone.
TEST(Evaluate, TheCacheServesTheSameWeightsAlone) {
  const DrawnImages drawn;
  const LabeledImages images(drawn.root(), {});
  const TemporaryFolder cache;
  const auto subject = testing::tiny_subject();
  const auto features = [&](const Subject& of) {
    return extract(of, images.test(), images.hash(data::Split::kVal), "val",
                   testing::small_images(cache.path()))
        .features;
  };
  const auto first = features(subject);
  EXPECT_EQ(testing::entries_in(cache.path()), 1u);
  auto renamed = subject;  // another network under the old hash: its features are not computed
  renamed.backbone = testing::tiny_subject().backbone;
  EXPECT_TRUE(features(renamed).equal(first));
  EXPECT_FALSE(features(testing::tiny_subject()).equal(first));
  EXPECT_EQ(testing::entries_in(cache.path()), 2u);
}

TEST(Evaluate, RefusesWhatItCannotRead) {
  const DrawnImages drawn;
  const LabeledImages images(drawn.root(), {});
  const auto subject = testing::tiny_subject();
  Source source(subject, &images, testing::small_images());
  const auto refusal = [&](const Evaluation& evaluation) -> std::string {
    try {
      evaluate(evaluation, source);
    } catch (const Error& error) {
      return error.what();
    }
    return {};
  };
  EXPECT_EQ(refusal(*make(eval::KnnOptions{{9}, 0.07})),
            drawn.root().string() +
                ": expected at least 9 training images, found 8; ask for fewer "
                "neighbors");
  EXPECT_EQ(refusal(*make(eval::ClusterOptions{})),
            "cluster: expected a projection head, found none");
  const Subject pixels;
  Source raw(pixels, &images, testing::small_images());
  EXPECT_EQ(evaluate(testing::Centroids(), raw).metrics.at("top1"), 100.0);
  EXPECT_THROW(evaluate(testing::Foreground(), raw), Error);
  EXPECT_EQ(refusal(testing::Foreground()), "foreground: expected its data, opened");
}

// What is left out is remembered, and only those who leave it out may read what is kept.
TEST(Evaluate, ExtractionLeavesOutUnreadableImagesWhenAsked) {
  const DrawnImages drawn;
  const LabeledImages images(drawn.root(), {});
  io::write_file(drawn.root() / "val/dark/1.ppm", "no image");
  const TemporaryFolder cache;
  const auto subject = testing::tiny_subject();
  auto options = testing::small_images(cache.path());
  options.leaves_out_unreadable = true;
  int warnings = 0;
  const auto features = [&] {
    return extract(subject, images.test(), "hash", "val", options,
                   {.warning = [&](const std::string&) { ++warnings; }});
  };
  const auto bank = features();
  EXPECT_TRUE(bank.sample_id.equal(torch::tensor({0, 2, 3, 4, 5, 6, 7}, torch::kLong)));
  EXPECT_TRUE(bank.unreadable.equal(torch::tensor({1}, torch::kLong)));
  EXPECT_EQ(warnings, 1);
  EXPECT_TRUE(features().features.equal(bank.features));  // kept
  EXPECT_EQ(warnings, 1);
  options.leaves_out_unreadable = false;
  EXPECT_THROW(features(), DataError);
}

TEST(Evaluate, SaysWhichFoldersAreWanted) {
  const DrawnImages drawn;
  const auto refusal = [](const std::filesystem::path& root) {
    try {
      const LabeledImages images(root, {});
    } catch (const DataError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_THAT(refusal(drawn.root() / "train"),
              HasSubstr("expected the folders train/ and val/ of labeled images, found no train/; "
                        "name the folder above it"));
  EXPECT_THAT(refusal(drawn.root() / "nothing"), HasSubstr("found nothing; check the path"));
}

}  // namespace
}  // namespace ibot::evaluation
