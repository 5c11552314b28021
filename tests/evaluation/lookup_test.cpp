// Retrieval, copy detection and video of small made sets, from files to reports.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ibot/base/error.h"
#include "ibot/data/index_map.h"
#include "ibot/eval/mask_quality.h"
#include "ibot/evaluation/evaluate.h"
#include "ibot/evaluation/evaluations.h"
#include "ibot/io/file.h"
#include "ibot/models/backbone.h"
#include "support/expect_tensor.h"
#include "support/temporary_folder.h"
#include "support/tiny.h"

namespace ibot::evaluation {
namespace {

namespace fs = std::filesystem;

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

void write(const fs::path& path, const std::string& content) {
  fs::create_directories(path.parent_path());
  io::write_file(path, content);
}

/// A picture of its own for each seed; the network looks into the content, not at the name.
void write_picture(const fs::path& path, int64_t seed, int64_t height = 20, int64_t width = 28) {
  std::string pixels;
  for (int64_t i = 0; i < 3 * height * width; ++i) {
    const int64_t value = (i * (7 + seed) + (i / 90) * seed * 29 + i * i * seed) % 256;
    pixels += static_cast<char>(value);
  }
  write(path, concat("P6\n", width, " ", height, "\n255\n") + pixels);
}

Subject noisy_subject(
    const models::BackboneOptions& options = testing::tiny_step_options().backbone) {
  torch::manual_seed(1);
  const auto backbone = models::build_backbone(options, models::Role::kTeacher);
  const torch::NoGradGuard no_grad;
  for (auto& parameter : backbone->parameters()) parameter.normal_(0.0, 0.2);
  return subject_of(options, backbone);
}

ExtractionOptions extraction(const fs::path& cache = {}, int64_t rank = 0, int64_t processes = 1) {
  return {.batch_size = 4, .workers = 2, .cache = cache, .rank = rank, .processes = processes};
}

eval::Report report_of(const Evaluation& evaluation, const fs::path& root,
                       const ExtractionOptions& options = extraction(), const fs::path& output = {},
                       std::vector<std::string>* warnings = nullptr,
                       const Subject& subject = noisy_subject()) {
  const auto data = evaluation.open(root);
  Listener listener;
  listener.warning = [&](const std::string& text) {
    if (warnings != nullptr) warnings->push_back(text);
  };
  Source source(subject, nullptr, options, listener, output);
  return evaluate(evaluation, source, data.get());
}

/// Two queries, of each an exact copy as easy and another as hard image; four strangers.
class Landmarks {
 public:
  Landmarks() {
    const auto jpg = root_ / "town" / "jpg";
    for (int64_t query = 0; query < 2; ++query) {
      write_picture(jpg / concat("q", query, ".jpg"), query + 1, 20 + 8 * query);
      write_picture(jpg / concat("e", query, ".jpg"), query + 1, 20 + 8 * query);
      write_picture(jpg / concat("h", query, ".jpg"), query + 1, 20 + 8 * query);
    }
    for (int64_t i = 0; i < 4; ++i) write_picture(jpg / concat("s", i, ".jpg"), 5 + i);
    const auto entry = [](int64_t query) {
      return concat("(dVeasy\n(lI", query, "\nasVhard\n(lI", 2 + query,
                    "\nasVjunk\n(lsVbbx\n(lF2\naF1\naF18\naF15\nasa");
    };
    write(root_ / "town" / "gnd_town.pkl",
          concat("(dVgnd\n(l", entry(0), entry(1),
                 "sVimlist\n(lVe0\naVe1\naVh0\naVh1\naVs0\naVs1\naVs2\naVs3\na",
                 "sVqimlist\n(lVq0\naVq1\nas."));
  }
  const fs::path& root() const { return root_.path(); }

 private:
  TemporaryFolder root_;
};

eval::RetrievalOptions of_town(bool multi_scale = true) {
  eval::RetrievalOptions options;
  options.dataset = "town";
  options.multi_scale = multi_scale;
  options.k = {1, 2};
  return options;
}

TEST(RetrievalEvaluation, ExactDuplicatesAreAllFound) {
  const Landmarks landmarks;
  for (const bool multi_scale : {true, false}) {
    const auto report = report_of(*make(of_town(multi_scale)), landmarks.root());
    for (const char* name : {"map_easy", "map_medium", "map_hard", "mp1_medium", "mp2_hard"}) {
      EXPECT_NEAR(report.metrics.at(name), 100.0, 1e-9) << name;
    }
    EXPECT_EQ(report.metrics.at("images"), 8.0);
    EXPECT_EQ(report.score, report.metrics.at("map_medium"));
    EXPECT_THAT(report.table, HasSubstr("mP@2"));
  }
}

// Strangers in the folder of distractors count as those of the database do; copies of a query push
// its positives back.
TEST(RetrievalEvaluation, DistractorsAreRanked) {
  const Landmarks landmarks;
  const TemporaryFolder more;
  for (int64_t i = 0; i < 3; ++i) write_picture(more / concat("stranger", i, ".jpg"), 20 + i);
  auto options = of_town();
  options.distractors = more.path().string();
  const auto report = report_of(*make(options), landmarks.root());
  EXPECT_EQ(report.metrics.at("images"), 11.0);
  EXPECT_NEAR(report.metrics.at("map_medium"), 100.0, 1e-9);
}

TEST(RetrievalEvaluation, BoxesOfQueriesAreAnOption) {
  const Landmarks landmarks;
  auto options = of_town();
  const auto whole = report_of(*make(options), landmarks.root());
  options.query_boxes = true;
  const auto boxes = report_of(*make(options), landmarks.root());
  EXPECT_NE(whole.metrics, boxes.metrics);
}

// The first query has 20 x 20 pixels, its box 17 x 14 of them.
TEST(RetrievalEvaluation, ABoxOutsideItsImageIsRefusedAtOnce) {
  const Landmarks landmarks;
  auto options = of_town();
  options.query_boxes = true;
  const auto refusal = [&](int64_t width, int64_t height) -> std::string {
    write_picture(landmarks.root() / "town" / "jpg" / "q0.jpg", 1, height, width);
    try {
      make(options)->open(landmarks.root());
    } catch (const DataError& error) {
      return error.what();
    }
    return {};
  };
  EXPECT_EQ(refusal(18, 15), "");
  EXPECT_EQ(refusal(17, 14), "");
  EXPECT_THAT(refusal(16, 15), HasSubstr("q0.jpg: retrieval.query_boxes: expected a box within its "
                                         "16 x 15 pixels, got left 2, top 1, right 18, bottom 15"));
  EXPECT_THAT(refusal(30, 9), HasSubstr("within its 30 x 9 pixels"));
  options.query_boxes = false;
  EXPECT_EQ(refusal(16, 15), "");
}

// What one process keeps another reads: no image is embedded twice, and results are the same.
TEST(RetrievalEvaluation, ProcessesShareTheCache) {
  const Landmarks landmarks;
  const TemporaryFolder cache;
  const auto retrieval = make(of_town());
  const auto alone = report_of(*retrieval, landmarks.root());
  const auto subject = noisy_subject();
  const auto data = retrieval->open(landmarks.root());
  Source helper(subject, nullptr, extraction(cache.path(), 1, 2));
  prepare(*retrieval, helper, data.get());
  fs::remove_all(landmarks.root() / "town" / "jpg");
  Source leader(subject, nullptr, extraction(cache.path(), 0, 2));
  EXPECT_EQ(evaluate(*retrieval, leader, data.get()).metrics, alone.metrics);
}

TEST(RetrievalEvaluation, AnImageThatCannotBeEmbeddedIsNamed) {
  const Landmarks landmarks;
  const auto file = landmarks.root() / "town" / "jpg" / "s1.jpg";
  const auto refusal = [&]() -> std::string {
    try {
      report_of(*make(of_town()), landmarks.root());
    } catch (const DataError& error) {
      return error.what();
    }
    return {};
  };
  write(file, "P6\n20 20\n255\nshort");
  EXPECT_THAT(refusal(), HasSubstr("s1.jpg: "));
  write_picture(file, 1, 6, 90);
  EXPECT_THAT(refusal(), HasSubstr("s1.jpg: expected an image of a patch at least at every scale, "
                                   "got 90 x 6 pixels"));
}

TEST(CopyEvaluation, ExactCopiesAreAllFound) {
  const TemporaryFolder root;
  const TemporaryFolder others;
  for (int64_t i = 0; i < 5; ++i) {
    const auto name = concat("20", i, "000.jpg");
    write_picture(root / "original" / name, i + 1);
    write_picture(root / "jpegqual/3" / name, i + 1);
    write_picture(root / "strong" / concat("20", i, "001.jpg"), i + 1);
    write_picture(others / name, 40 + i);
  }
  eval::CopyOptions options;
  options.image_size = 16;
  options.distractors = others.path().string();
  for (const auto& whitening : {std::string(), others.path().string()}) {
    options.whitening = whitening;
    std::vector<std::string> warnings;
    const auto report = report_of(*make(options), root.path(), extraction(), {}, &warnings);
    for (const char* name : {"map_original", "map_strong", "map_jpegqual_3"}) {
      EXPECT_NEAR(report.metrics.at(name), 100.0, 1e-9) << name;
    }
    EXPECT_EQ(report.metrics.at("images"), 10.0);
    EXPECT_THAT(warnings, ElementsAre(HasSubstr("17 of 20 blocks")));
  }
}

/// A video of a square that moves over noise, 6 frames of 64 x 96 pixels.
class Film {
 public:
  Film() {
    write(root_ / "ImageSets/2017/val.txt", "square\nstill\n");
    for (int64_t i = 0; i < 6; ++i) {
      add("square", i, 4 * i);
      add("still", i, 0);
    }
  }
  const fs::path& root() const { return root_.path(); }
  static torch::Tensor mask(int64_t shift) {
    auto mask = torch::zeros({64, 96}, torch::kByte);
    mask.slice(0, 16, 40).slice(1, 8 + shift, 40 + shift).fill_(1);
    mask.slice(0, 16, 40).slice(1, 40 + shift, 56 + shift).fill_(2);
    return mask;
  }

 private:
  void add(const std::string& name, int64_t frame, int64_t shift) {
    const auto number = concat("0000", frame);
    const auto labels = mask(shift);
    const auto bytes = data::index_png(labels);
    write(root_ / "Annotations/480p" / name / (number + ".png"),
          {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    std::string pixels;
    const auto values = labels.accessor<uint8_t, 2>();
    for (int64_t y = 0; y < 64; ++y) {
      for (int64_t x = 0; x < 96; ++x) {
        for (int64_t c = 0; c < 3; ++c) {
          pixels += static_cast<char>(40 + 90 * values[y][x] + (values[y][x] + c) % 3 * 30);
        }
      }
    }
    write(root_ / "JPEGImages/480p" / name / (number + ".jpg"), "P6\n96 64\n255\n" + pixels);
  }

  TemporaryFolder root_;
};

eval::VideoOptions small_video() {
  eval::VideoOptions options;
  options.short_side = 64;
  options.overlays = true;
  options.parallel = 2;
  return options;
}

TEST(VideoEvaluation, WritesMasksTablesAndStrips) {
  const Film film;
  const TemporaryFolder output;
  const auto report = report_of(*make(small_video()), film.root(), extraction(), output.path());
  EXPECT_GT(report.metrics.at("j_and_f_mean"), 50.0);
  EXPECT_EQ(report.score, report.metrics.at("j_and_f_mean"));
  EXPECT_NEAR(report.metrics.at("j_and_f_mean"),
              (report.metrics.at("j_mean") + report.metrics.at("f_mean")) / 2, 1e-9);
  EXPECT_TENSOR_EQUAL(data::read_index_map((output / "square" / "00000.png").string()),
                      Film::mask(0));
  for (int64_t i = 0; i < 6; ++i) {
    const auto file = output / "still" / concat("0000", i, ".png");
    EXPECT_EQ(data::read_index_map(file.string()).sizes(), (std::vector<int64_t>{64, 96}));
  }
  EXPECT_TRUE(fs::exists(output / "strips" / "square.png"));
  const auto global = io::read_file(output / "global_results-val.csv");
  EXPECT_THAT(global, HasSubstr("J&F-Mean,J-Mean,J-Recall,J-Decay,F-Mean,F-Recall,F-Decay\n0."));
  const auto each = io::read_file(output / "per-sequence_results-val.csv");
  EXPECT_THAT(each, HasSubstr("Sequence,J-Mean,F-Mean\nsquare_1,0."));
  EXPECT_THAT(each, HasSubstr("\nstill_2,0."));
}

TEST(VideoEvaluation, ProcessesShareTheCache) {
  const Film film;
  const TemporaryFolder cache;
  const auto video = make(small_video());
  const auto alone = report_of(*video, film.root());
  const auto subject = noisy_subject();
  const auto data = video->open(film.root());
  Source helper(subject, nullptr, extraction(cache.path(), 1, 2));
  prepare(*video, helper, data.get());
  fs::remove_all(film.root() / "JPEGImages");  // the leader reads what the helper kept
  Source leader(subject, nullptr, extraction(cache.path(), 0, 2));
  EXPECT_EQ(evaluate(*video, leader, data.get()).metrics, alone.metrics);
}

TEST(VideoEvaluation, TheTruthAgreesWithItself) {
  std::vector<double> region;
  std::vector<double> contour;
  for (int64_t frame = 0; frame < 6; ++frame) {
    for (int64_t object = 1; object <= 2; ++object) {
      const auto mask = Film::mask(4 * frame) == object;
      region.push_back(eval::region_similarity(mask, mask));
      contour.push_back(eval::boundary_accuracy(mask, mask));
    }
  }
  for (const auto& found : {eval::frame_statistics(region), eval::frame_statistics(contour)}) {
    EXPECT_EQ(found.mean, 1.0);
    EXPECT_EQ(found.recall, 1.0);
    EXPECT_EQ(found.decay, 0.0);
  }
}

TEST(VideoEvaluation, InBf16ItIsTheSameButForRounding) {
  const Film film;
  auto options = small_video();
  const auto exact = report_of(*make(options), film.root());
  options.precision = optim::Precision::kBf16;
  const auto rounded = report_of(*make(options), film.root());
  EXPECT_NEAR(rounded.metrics.at("j_and_f_mean"), exact.metrics.at("j_and_f_mean"), 5.0);
  options.precision = optim::Precision::kFp16;
  EXPECT_THROW(report_of(*make(options), film.root()), ConfigError);
}

/// A network of `backbone` on data of each kind: frames of 480 x 704 pixels, images of odd sides.
class OtherNetworks : public ::testing::Test {
 protected:
  OtherNetworks() {
    for (int64_t i = 0; i < 6; ++i) {
      write_picture(days_ / (i < 3 ? "original" : "crops/50") / concat(i % 3, ".jpg"), i % 3, 31,
                    53);
    }
    copies_.image_size = 37;
    video_.short_side = 480;
  }

  template <class Options>
  static double result(const models::BackboneOptions& backbone, const Options& options,
                       const fs::path& root, const char* metric) {
    const TemporaryFolder output;
    return report_of(*make(options), root, extraction(), output.path(), nullptr,
                     noisy_subject(backbone))
        .metrics.at(metric);
  }

  const Landmarks landmarks_;
  const Film film_;
  const TemporaryFolder days_;
  eval::VideoOptions video_ = small_video();
  eval::CopyOptions copies_;
};

TEST_F(OtherNetworks, PatchesOfAnySizeTakePicturesOfAnySize) {
  auto wide = testing::tiny_step_options().backbone;
  wide.image_size = 48;
  wide.patch_size = 12;
  EXPECT_NEAR(result(wide, of_town(false), landmarks_.root(), "map_medium"), 100.0, 1e-9);
  EXPECT_NEAR(result(wide, copies_, days_.path(), "map_crops_50"), 100.0, 1e-9);
  EXPECT_GT(result(wide, video_, film_.root(), "j_and_f_mean"), 50.0);
}

TEST_F(OtherNetworks, SwinTakesSquaresAlone) {
  const auto swin = testing::tiny_swin();
  EXPECT_NEAR(result(swin, copies_, days_.path(), "map_crops_50"), 100.0, 1e-9);
  EXPECT_THROW(result(swin, of_town(), landmarks_.root(), "map_medium"), ConfigError);
  EXPECT_THROW(result(swin, video_, film_.root(), "j_and_f_mean"), ConfigError);
}

}  // namespace
}  // namespace ibot::evaluation
