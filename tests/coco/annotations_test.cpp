#include "ibot/coco/annotations.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "ibot/base/error.h"
#include "support/golden.h"
#include "support/temporary_folder.h"

namespace ibot::coco {
namespace {

constexpr const char* kImages =
    R"("images": [{"id": 9, "file_name": "b.jpg", "height": 4, "width": 6},
                  {"id": 0, "file_name": "a.jpg", "height": 5, "width": 3}])";
constexpr const char* kCategories =
    R"("categories": [{"id": 90, "name": "brush"}, {"id": 1, "name": "person"}])";

class Annotations : public ::testing::Test {
 protected:
  std::filesystem::path write(const std::string& text) const {
    const auto file = folder_ / "a.json";
    std::ofstream(file) << text;
    return file;
  }
  AnnotatedSet read(const std::string& annotations) const {
    return read_annotations(write(concat("{", annotations, ", ", kCategories, ", ", kImages, "}")));
  }
  AnnotatedSet read_one(const std::string& fields) const {
    return read(
        concat(R"("annotations": [{"id": 1, "image_id": 9, "category_id": 90, )", fields, "}]"));
  }
  /// The refusal of a set with one annotation of these fields.
  std::string refusal(const std::string& fields) const {
    return refusal_of([&] { read_one(fields); });
  }
  template <class Call>
  static std::string refusal_of(const Call& call) {
    try {
      call();
    } catch (const DataError& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
      return error.what();
    }
    return "none";
  }
  static void expect_in(const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << text << "\nlacks: " << part;
  }

  const testing::TemporaryFolder folder_;
};

// Ids have gaps and begin at 0; lists come in any order, other keys hold anything.
TEST_F(Annotations, ReadsWhatTheFormatHolds) {
  const auto set = read(
      R"("info": {"id": "x", "list": [[1, {"id": 2}]]}, "licenses": [{"id": 3, "name": "free"}],
         "annotations": [
           {"id": 4000000000, "image_id": 9, "category_id": 90, "bbox": [1, 1, 2.5, 2], "area": 5,
            "iscrowd": 0, "segmentation": [[1, 1, 3, 1, 3, 3, 1, 3], [4, 0, 6, 0, 6, 2, 4, 2]]},
           {"id": 7, "image_id": 0, "category_id": 1, "bbox": [0, 0, 3, 5], "iscrowd": 1,
            "segmentation": {"size": [5, 3], "counts": [5, 5, 5]}},
           {"id": 8, "image_id": 9, "category_id": 1, "bbox": [0, 0, 1, 1], "ignore": true}])");
  ASSERT_EQ(image_ids(set), (std::vector<int64_t>{0, 9}));
  EXPECT_EQ(category_ids(set), (std::vector<int64_t>{1, 90}));
  EXPECT_EQ(set.images[1].file, "b.jpg");
  ASSERT_EQ(set.objects[0].size(), 1U);
  ASSERT_EQ(set.objects[1].size(), 2U);
  const auto& crowd = set.objects[0].front();
  EXPECT_TRUE(crowd.crowd);
  EXPECT_EQ(crowd.area, 5);  // of its mask
  const auto& object = set.objects[1].front();
  EXPECT_EQ(object.label, 1);
  EXPECT_EQ(object.box, (metrics::Box{1, 1, 2.5, 2}));
  EXPECT_EQ(metrics::area_of(mask_of(object.segmentation, 4, 6)), 8);
  EXPECT_TRUE(set.objects[1].back().ignored);
  EXPECT_TRUE(set.objects[1].back().segmentation.empty());
  EXPECT_TRUE(set.notes.empty());
}

TEST_F(Annotations, LeaveOutAndTellWhatPycocotoolsLeavesOut) {
  const auto set = read(R"("annotations": [
    {"id": 0, "image_id": 9, "category_id": 1, "bbox": [0, 0, 1, 1], "area": 1,
     "segmentation": [[0, 0, 1, 1], [0, 0, 2, 0, 2, 2]]},
    {"id": 1, "image_id": 5, "category_id": 1, "bbox": [0, 0, 1, 1], "area": 1},
    {"id": 2, "image_id": 6, "category_id": 1, "bbox": [0, 0, 1, 1], "area": 1},
    {"id": 3, "image_id": 9, "category_id": 2, "bbox": [0, 0, 1, 1], "area": 1}])");
  EXPECT_EQ(truths_of(set, metrics::Shape::kBox).size(), 1U);
  ASSERT_EQ(set.notes.size(), 4U);
  expect_in(set.notes[0], "2 annotations name images");
  expect_in(set.notes[0], "annotation 1 of image 5");
  expect_in(set.notes[1], "1 annotations name categories");
  expect_in(set.notes[2], "outlines of fewer than three points");
  expect_in(set.notes[3], "annotation id 0");
}

TEST_F(Annotations, RefuseDamage) {
  const auto whole = concat("{", R"("annotations": [], )", kCategories, ", ", kImages, "}");
  expect_in(refusal_of([&] { read_annotations(write(whole)); }), "expected annotations");
  for (const size_t cut : {whole.size() - 1, whole.size() / 2, size_t{1}, size_t{0}}) {
    expect_in(refusal_of([&] { read_annotations(write(whole.substr(0, cut))); }), "cut short");
  }
  expect_in(refusal_of([&] { read_annotations(write("{\"images\": [}, \"annotations\": []}")); }),
            "damaged");
  expect_in(refusal_of([&] { read_annotations(write("3")); }), "expected an object or a list");
  expect_in(refusal_of([&] { read_annotations(write("[]")); }), "expected images");
  expect_in(refusal_of([&] { read_annotations(folder_ / "none.json"); }), "cannot read");
}

TEST_F(Annotations, RefuseEntriesThatAreNone) {
  const std::string box = R"("bbox": [0, 0, 1, 1], "area": 1)";
  const auto masked = [&](const std::string& mask) {
    return refusal(concat(box, R"(, "segmentation": )", mask));
  };
  expect_in(refusal(R"("area": 1)"), "bbox: expected x, y, width and height, got 0");
  expect_in(refusal(R"("bbox": [0, 0, -1, 1])"), "width and height of 0 or more, got -1 x 1");
  expect_in(refusal(R"("bbox": [0, 0, 1, "x"])"), "expected a number");
  expect_in(refusal(R"("bbox": [0, 0, 1e300, 1])"), "bbox: expected coordinates within a million");
  expect_in(refusal(box + R"(, "category_id": "person")"), "expected a number, got \"person\"");
  expect_in(refusal(box + R"(, "image_id": 1.5)"), "expected a whole number, got 1.5");
  expect_in(masked("[1, 2, 3, 4, 5, 6]"), "expected a list of outlines");
  expect_in(masked("[[1, 2, 3, 4, 5, 6, 7]]"), "got 7 numbers");
  expect_in(masked("[[1e18, 1, 2, 2e18, 3, 3]]"), "segmentation: expected coordinates within");
  expect_in(masked(R"({"size": [4, 6], "counts": [20, 5]})"), "annotation 1");
  expect_in(masked(R"({"size": [4, 6], "counts": [-1, 25]})"), "got -1");
  expect_in(masked(R"({"size": [6, 4], "counts": [24]})"), "the image's size 4 x 6, got 6 x 4");
  expect_in(masked(R"({"size": [4, 6], "counts": "zz"})"), "run-length text");
  expect_in(masked(R"({"size": [4, 6], "counts": "\u00ff"})"), "byte 195 at 0 is none");
  expect_in(masked(R"({"size": [4, 6], "counts": ""})"), "got 0");
  expect_in(masked(R"({"counts": [24]})"), "the image's size");
  expect_in(refusal(box + R"(}, {"id": 1, "image_id": 9, "category_id": 1, )" + box),
            "annotation id 1 occurs twice");
}

TEST_F(Annotations, RefuseListsThatContradictThemselves) {
  const std::string annotations =
      R"("annotations": [{"id": 1, "image_id": 9, "category_id": 1, "bbox": [0, 0, 1, 1]}])";
  const auto refused = [&](const std::string& rest) {
    return refusal_of([&] { read_annotations(write(concat("{", annotations, ", ", rest, "}"))); });
  };
  expect_in(refused(kImages), "expected categories");
  expect_in(refused(kCategories), "expected images");
  expect_in(refused(concat(kImages, R"(, "categories": [{"id": 1}, {"id": 1}])")),
            "category id 1 occurs twice");
  expect_in(refused(concat(kCategories, R"(, "images": [{"id": 9, "file_name": "a"}])")),
            "expected a height");
  expect_in(
      refused(concat(kCategories,
                     R"(, "images": [{"id": 9, "file_name": "a", "height": 0, "width": 3}])")),
      "size above 0");
  expect_in(refused(concat(kCategories, R"(, "images": [{"id": 9, "file_name": "a", )",
                           R"("height": 100000, "width": 100000}])")),
            "below 2^32 pixels");
}

TEST_F(Annotations, DetectionsNameWhatIsAnnotated) {
  const auto set = read_one(R"("bbox": [0, 0, 1, 1], "area": 1)");
  const auto detections = [&](const std::string& fields) {
    return read_detections(write(concat("[{", fields, "}]")), set);
  };
  const std::string mask = R"("segmentation": {"size": [4, 6], "counts": [4, 8, 12]})";
  const std::string known = R"("image_id": 9, "category_id": 1, "score": 0.5, )";
  const auto found = detections(known + mask);
  EXPECT_EQ(found.front().box, (metrics::Box{1, 0, 2, 4}));
  EXPECT_EQ(compared(found, metrics::Shape::kBox).front().area, 8);
  EXPECT_TRUE(compared(found, metrics::Shape::kBox).front().mask.counts.empty());
  EXPECT_EQ(compared(found, metrics::Shape::kMask).front().mask.counts.size(), 3U);
  const auto boxes = detections(known + R"("bbox": [0, 0, 1, 1])");
  expect_in(refusal_of([&] { compared(boxes, metrics::Shape::kMask); }),
            "expected a segmentation of each");
  const auto refused = [&](const std::string& fields) {
    return refusal_of([&] { detections(fields); });
  };
  expect_in(refused(R"("image_id": 9, "category_id": 1, "score": 1)"), "found neither");
  expect_in(refused(R"("image_id": 8, "category_id": 1, "score": 1)"),
            "expected an image of the annotations, got 8");
  expect_in(refused(R"("image_id": 9, "category_id": 2, "score": 1)"),
            "expected a category of the annotations, got 2");
  expect_in(refused(R"("image_id": 9, "category_id": 1)"), "expected a score");
  expect_in(refusal_of([&] { read_detections(write(concat("{", kImages, "}")), set); }),
            "expected a list of detections, got an object with images");
}

// The file read by our reader gives the numbers of pycocotools.
TEST(AnnotationsDense, FilesGiveTheNumbersOfPycocotools) {
  const auto golden = testing::dense_case("03_coco_eval", "expected");
  const auto set = read_annotations(golden.folder / golden.json["annotations"].get<std::string>());
  const double atol = golden.json["tolerance"]["atol"];
  for (const auto& [key, shape] :
       {std::pair{"bbox", metrics::Shape::kBox}, {"segm", metrics::Shape::kMask}}) {
    const auto expected = golden.json["results"][key];
    const auto file = golden.folder / concat("detections_", key, ".json");
    const metrics::AveragePrecisionOptions options{
        .shape = shape, .limits = expected["max_dets"].get<std::vector<int64_t>>()};
    const auto numbers = metrics::average_precision(truths_of(set, shape),
                                                    compared(read_detections(file, set), shape),
                                                    image_ids(set), category_ids(set), options)
                             .summary();
    for (size_t i = 0; i < numbers.size(); ++i) {
      EXPECT_NEAR(numbers[i], expected["values"][i].get<double>(), atol) << key << ' ' << i;
    }
  }
}

}  // namespace
}  // namespace ibot::coco
