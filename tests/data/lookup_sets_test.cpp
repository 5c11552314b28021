// Data sets of retrieval, copy detection and video, and the pictures that they are shown as.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "ibot/base/error.h"
#include "ibot/codec/decode.h"
#include "ibot/data/copydays_set.h"
#include "ibot/data/davis_set.h"
#include "ibot/data/index_map.h"
#include "ibot/data/revisited_set.h"
#include "ibot/image/thumbnail.h"
#include "ibot/io/file.h"
#include "support/expect_tensor.h"
#include "support/python.h"

namespace ibot::data {
namespace {

namespace fs = std::filesystem;

using ::testing::HasSubstr;
using testing::python_has;
using testing::python_output;
using testing::TemporaryFolder;

/// The one line that `action` is refused with.
template <class Action>
std::string action_refusal(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    return error.what();
  }
  return {};
}

void write(const fs::path& path, const std::string& content) {
  fs::create_directories(path.parent_path());
  io::write_file(path, content);
}

void write_picture(const fs::path& path, int64_t height = 6, int64_t width = 8, char value = 'x') {
  write(path, concat("P6\n", width, " ", height, "\n255\n") +
                  std::string(static_cast<size_t>(3 * height * width), value));
}

void write_map(const fs::path& path, const torch::Tensor& map) {
  const auto bytes = index_png(map);
  write(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

torch::Tensor one_object(int64_t height = 6, int64_t width = 8, int64_t object = 1) {
  auto map = torch::zeros({height, width}, torch::kByte);
  map.slice(0, 1, 3).slice(1, 1, 3).fill_(object);
  return map;
}

// Pickles.

/// A set in whose database are the images a to d and whose query is q.
class Revisited : public ::testing::Test {
 protected:
  Revisited() {
    for (const char* name : {"a", "b", "c", "d", "q"}) {
      write_picture(root_ / "oxford" / "jpg" / (std::string(name) + ".jpg"));
    }
  }

  /// A pickle of text opcodes: lists alone.
  void write_truth(const std::string& easy, const std::string& names = "Va\naVb\naVc\naVd\na",
                   const std::string& hard = "I2\na") {
    write(root_ / "oxford" / "gnd_oxford.pkl", "(dVgnd\n(l(dVeasy\n(l" + easy + "sVhard\n(l" +
                                                   hard +
                                                   "sVjunk\n(lsVbbx\n(lF1\naF2\naF3\naF4\nasa" +
                                                   "sVimlist\n(l" + names + "sVqimlist\n(lVq\nas.");
  }
  std::string opening() const {
    return action_refusal([&] { open_revisited(root_.path(), "oxford"); });
  }

  TemporaryFolder root_;
};

TEST_F(Revisited, ListsAreRead) {
  write_truth("I0\naI1\na");
  const auto set = open_revisited(root_.path(), "oxford");
  EXPECT_EQ(set.database.size(), 4);
  EXPECT_EQ(set.queries.size(), 1);
  EXPECT_EQ(set.truth[0].easy, (std::vector<int64_t>{0, 1}));
  EXPECT_EQ(set.truth[0].hard, (std::vector<int64_t>{2}));
  EXPECT_TRUE(set.truth[0].junk.empty());
  EXPECT_EQ(set.truth[0].box, (std::array<double, 4>{1, 2, 3, 4}));
}

TEST_F(Revisited, WhatIsWrongIsSaidInOneLine) {
  EXPECT_THAT(opening(), HasSubstr("retrieval.dataset"));
  write_truth("I0\naI4\na");
  EXPECT_THAT(opening(), HasSubstr("ground truth of another set"));
  write_truth("F0.5\na");
  EXPECT_THAT(opening(), HasSubstr("easy counts image 0.5"));
  write_truth("", "Va\naVb\naVc\naVd\na", "");
  EXPECT_THAT(opening(), HasSubstr("expected a query with easy or hard images"));
  write_truth("", "Va\naVb\naVc\naVe\na");
  EXPECT_THAT(opening(), HasSubstr("1 of 4 images are missing"));
  write(root_ / "oxford" / "gnd_oxford.pkl", "(dVgnd\n");
  EXPECT_THAT(opening(), HasSubstr("gnd_oxford.pkl: byte"));
  write(root_ / "oxford" / "gnd_oxford.pkl", "(lp0\n.");
  EXPECT_THAT(opening(), HasSubstr("expected a dict of gnd"));
}

// Python and NumPy are the judges: arrays of several types in every protocol, an empty one of
// floats, a list, an array in Fortran's order, of the other byte order, and of names.
TEST_F(Revisited, ArraysOfEveryProtocolAreRead) {
  if (!python_has("numpy")) GTEST_SKIP() << "needs NumPy";
  for (int protocol = 0; protocol <= 5; ++protocol) {
    SCOPED_TRACE(protocol);
    python_output(
        concat("import pickle, numpy as np\n",
               "gnd = [{'easy': np.array([0, 3], '>i4'), 'hard': np.array([1], 'i8'),",
               " 'junk': np.array([]), 'bbx': np.array([1.5, 2, 3, 4], 'f4')}]\n",
               "pickle.dump({'gnd': gnd, 'imlist': ['a', 'b', 'c', 'd'], 'qimlist': ['q'],",
               " 'more': np.asfortranarray(np.arange(6).reshape(2, 3)),",
               " 'bytes': b'', 'high': np.array([255, 128], 'u1'),",
               " 'names': np.array(['a', 'b'])}, open('",
               (root_ / "oxford" / "gnd_oxford.pkl").string(), "', 'wb'), ", protocol, ")\n"));
    const auto set = open_revisited(root_.path(), "oxford");
    EXPECT_EQ(set.truth[0].easy, (std::vector<int64_t>{0, 3}));
    EXPECT_EQ(set.truth[0].hard, (std::vector<int64_t>{1}));
    EXPECT_TRUE(set.truth[0].junk.empty());
    EXPECT_EQ(set.truth[0].box, (std::array<double, 4>{1.5, 2, 3, 4}));
  }
}

// As Python 2 writes an array of protocol 0: text with escapes.
TEST_F(Revisited, ArraysOfPython2AreRead) {
  write(
      root_ / "oxford" / "gnd_oxford.pkl",
      "(dS'gnd'\n(l(dS'easy'\ncnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\n"
      "tR(I1\n(I2\ntcnumpy\ndtype\n(S'i4'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\n"
      "S'\\x00\\x00\\x00\\x00\\x03\\x00\\x00\\x00'\ntbsS'hard'\n(lsS'junk'\n(lsasS'imlist'\n"
      "(lS'a'\naS\"b\"\naS'\\x63'\naVd\nasS'qimlist'\n(lV\\u0071\nas.");
  const auto set = open_revisited(root_.path(), "oxford");
  EXPECT_EQ(set.truth[0].easy, (std::vector<int64_t>{0, 3}));
}

// Pictures.

/// A picture without symmetry: [H, W, 3] as bytes of a PPM.
std::string drawn(int64_t height, int64_t width) {
  std::string pixels;
  for (int64_t i = 0; i < 3 * height * width; ++i) {
    pixels += static_cast<char>((i * i * 31 + i / 7 * 13 + i % 251) % 256);
  }
  return concat("P6\n", width, " ", height, "\n255\n") + pixels;
}

Image decoded(const std::string& bytes, bool truncated = false) {
  const std::vector<uint8_t> data(bytes.begin(), bytes.end());
  return truncated ? decode_truncated(data, "picture") : decode(data, "picture");
}

torch::Tensor planes(const Image& image) {
  return torch::from_blob(const_cast<uint8_t*>(image.row(0)), {image.height(), image.width(), 3},
                          torch::kByte)
      .permute({2, 0, 1})
      .contiguous();
}

/// The planes that Python printed as a PPM file of this name.
torch::Tensor python_picture(const fs::path& path) { return planes(decoded(io::read_file(path))); }

TEST(Thumbnail, IsThatOfPillow) {
  if (!python_has("PIL")) GTEST_SKIP() << "needs Pillow";
  const TemporaryFolder folder;
  const std::vector<std::array<int64_t, 3>> cases{{97, 131, 64},   {300, 211, 40}, {333, 1000, 71},
                                                  {1000, 37, 200}, {50, 40, 64},   {401, 400, 100},
                                                  {260, 390, 30},  {611, 20, 150}};
  for (const auto& [height, width, limit] : cases) {
    SCOPED_TRACE(concat(width, " x ", height, " to ", limit));
    write(folder / "in.ppm", drawn(height, width));
    python_output(concat(
        "from PIL import Image\nimage = Image.open('", (folder / "in.ppm").string(),
        "').convert('RGB')\n", "image.crop((3, 5, image.width, image.height - 4)).save('",
        (folder / "cut.ppm").string(), "')\n", "cut = Image.open('", (folder / "cut.ppm").string(),
        "')\nfor name, it in ",
        "(('out', image), ('out2', cut)):\n  it = it.copy()\n  it.thumbnail((", limit, ", ", limit,
        "), Image.LANCZOS)\n  it.save('", folder.path().string(), "/' + name + '.ppm')\n"));
    const auto image = decoded(drawn(height, width));
    EXPECT_TENSOR_EQUAL(thumbnail(image, {limit, limit}), python_picture(folder / "out.ppm"));
    EXPECT_TENSOR_EQUAL(thumbnail(image, {5, 3, height - 9, width - 3}, {limit, limit}),
                        python_picture(folder / "out2.ppm"));
  }
}

TEST(Decode, ATruncatedJpegIsShownAsFarAsItGoes) {
  if (!python_has("PIL")) GTEST_SKIP() << "needs Pillow";
  const TemporaryFolder folder;
  write(folder / "in.ppm", drawn(120, 90));
  for (const char* mode : {"RGB", "L"}) {
    for (const char* share : {"0.5", "0.9", "0.99"}) {
      for (const char* progressive : {"False", "True"}) {
        SCOPED_TRACE(concat(mode, " ", share, " ", progressive));
        python_output(concat(
            "from PIL import Image, ImageFile\nimport io\nImageFile.LOAD_TRUNCATED_IMAGES = True\n",
            "b = io.BytesIO()\nImage.open('", (folder / "in.ppm").string(), "').convert('", mode,
            "').save(b, 'JPEG', progressive=", progressive, ")\nd = b.getvalue()\nd = d[:int(",
            share, " * len(d))]\nopen('", (folder / "cut.jpg").string(),
            "', 'wb').write(d)\nImage.open(io.BytesIO(d)).convert('RGB').save('",
            (folder / "out.ppm").string(), "')\n"));
        const auto ours = planes(decoded(io::read_file(folder / "cut.jpg"), true));
        const auto pillows = python_picture(folder / "out.ppm");
        // Blocks whose finer scans are missing are smoothed, which libjpeg-turbo 2 and 3 (that of
        // Pillow) do a few levels apart: djpeg of 2.1 gives our pixels.
        const int apart = std::string(progressive) == "True" ? 3 : 0;
        EXPECT_TRUE(::ibot::testing::near(ours, pillows, {0, static_cast<double>(apart)}));
      }
    }
  }
}

// Copydays.

TEST(Copydays, CopiesBelongToOriginals) {
  const TemporaryFolder root;
  for (const char* name : {"200000.jpg", "200001.jpg", "200100.jpg"}) {
    write_picture(root / "original" / name);
    write_picture(root / "crops/50" / name);
  }
  write_picture(root / "strong" / "200077.jpg");
  const auto set = open_copydays(root.path());
  ASSERT_EQ(set.blocks.size(), 3u);
  EXPECT_EQ(set.missing.size(), 17u);
  EXPECT_EQ(set.blocks[1].name, "strong");
  EXPECT_EQ(set.blocks[1].originals, (std::vector<std::vector<int64_t>>{{0, 1}}));
  EXPECT_EQ(set.blocks[2].originals, (std::vector<std::vector<int64_t>>{{0}, {1}, {2}}));
  write_picture(root / "strong" / "300077.jpg");
  EXPECT_THAT(action_refusal([&] { open_copydays(root.path()); }),
              HasSubstr("strong: 300077.jpg: expected an original of the same first four"));
  write_picture(root / "crops/50" / "999999.jpg");
  EXPECT_THAT(action_refusal([&] { open_copydays(root / "crops"); }), HasSubstr("original/*.jpg"));
}

TEST(Copydays, ANameOfNoOriginalIsRefused) {
  EXPECT_THAT(action_refusal([&] {
                originals_of("crops/50", {"a.jpg", "b.jpg"}, {"a.jpg"});
              }),
              HasSubstr("b.jpg: expected an original of the same name"));
  EXPECT_EQ(originals_of("crops/50", {"x.jpg"}, {"a.jpg"}),
            (std::vector<std::vector<int64_t>>{{0}}));
}

// Videos.

class Davis : public ::testing::Test {
 protected:
  Davis() {
    write(root_ / "ImageSets/2017/val.txt", "dog\r\n\n");
    for (const char* frame : {"00000", "00001", "00002"}) {
      write_picture(this->frame(frame));
      write_map(mask(frame), one_object());
    }
  }
  fs::path frame(const std::string& name) const {
    return root_ / "JPEGImages/480p/dog" / (name + ".jpg");
  }
  fs::path mask(const std::string& name) const {
    return root_ / "Annotations/480p/dog" / (name + ".png");
  }
  std::string opening() const {
    return action_refusal([&] { open_davis(root_.path(), "2017", "val", 2); });
  }

  TemporaryFolder root_;
};

TEST_F(Davis, SequencesAreRead) {
  const auto set = open_davis(root_.path(), "2017", "val", 2);
  ASSERT_EQ(set.sequences.size(), 1u);
  EXPECT_EQ(set.sequences[0].name, "dog");
  EXPECT_EQ(set.sequences[0].count, 3);
  EXPECT_EQ(set.sequences[0].objects, 1);
  EXPECT_EQ(set.sequences[0].size, (ImageSize{6, 8}));
  EXPECT_EQ(read_frame(set, 0, {3, 4}).sizes(), (std::vector<int64_t>{3, 3, 4}));
}

TEST_F(Davis, WhatIsWrongIsSaidInOneLine) {
  fs::remove(mask("00001"));
  EXPECT_THAT(opening(), HasSubstr("masks: 1 of 3 images are missing"));
  write_map(mask("00001"), one_object(6, 9));
  EXPECT_THAT(opening(), HasSubstr("00001.png: expected 8 x 6 pixels as its frame has, got 9 x 6"));
  write_map(mask("00001"), one_object(6, 8, 2));
  EXPECT_THAT(opening(), HasSubstr("an object that appears late"));
  write_map(mask("00001"), one_object(6, 8, 255));
  EXPECT_EQ(opening(), "");
  write_map(mask("00000"), one_object(6, 8, 255));
  EXPECT_THAT(opening(), HasSubstr("00000.png: expected at least one object"));
  write_picture(mask("00000"));
  EXPECT_THAT(opening(), HasSubstr("expected a PNG of indices, got PNM"));
  write_map(mask("00000"), one_object());
  write_picture(frame("00002"), 7, 8);
  EXPECT_THAT(opening(), HasSubstr("00002.jpg: expected 8 x 6 pixels as the first frame has"));
  write(frame("00002"), "nothing");
  EXPECT_THAT(opening(), HasSubstr("00002.jpg"));
  fs::remove(frame("00001"));
  write_picture(frame("00003"));
  EXPECT_THAT(opening(), HasSubstr("00001.png: expected a frame"));
  write(root_ / "ImageSets/2017/val.txt", "dog\ndog\n");
  EXPECT_THAT(opening(), HasSubstr("expected each sequence once, got 2 lines with 1 names"));
  write(root_ / "ImageSets/2017/val.txt", "cat\n");
  EXPECT_THAT(opening(), HasSubstr("480p/cat: expected the frames of a sequence"));
  EXPECT_THAT(action_refusal([&] { open_davis(root_.path(), "2016", "val", 1); }),
              HasSubstr("video.year"));
}

TEST(IndexMap, IsWhatPillowReadsAndWrites) {
  const TemporaryFolder folder;
  const auto map = (torch::arange(300, torch::kLong) % 256).to(torch::kByte).view({15, 20});
  write_map(folder / "map.png", map);
  EXPECT_TENSOR_EQUAL(read_index_map((folder / "map.png").string()), map);
  const auto colors = index_colors();
  EXPECT_TENSOR_EQUAL(colors[1], torch::tensor({128, 0, 0}, torch::kByte));
  EXPECT_TENSOR_EQUAL(colors[20], torch::tensor({0, 64, 128}, torch::kByte));
  if (!python_has("PIL")) GTEST_SKIP() << "needs Pillow";
  const auto told = python_output(concat(
      "from PIL import Image\nimage = Image.open('", (folder / "map.png").string(),
      "')\nprint(image.mode, image.size, image.tobytes() == bytes(i % 256 for i in range(300)),",
      " image.getpalette()[60:63])\nimage = Image.new('P', (5, 3), 1)\nimage.putpixel((4, 2), 3)\n",
      "image.putpalette([0, 0, 0, 9, 9, 9, 9, 9, 9, 1, 1, 1])\nimage.save('",
      (folder / "few.png").string(), "')\n"));
  EXPECT_EQ(told, "P (20, 15) True [0, 64, 128]\n");
  auto few = torch::ones({3, 5}, torch::kByte);
  few[2][4] = 3;
  EXPECT_TENSOR_EQUAL(read_index_map((folder / "few.png").string()), few);
}

}  // namespace
}  // namespace ibot::data
