// Data sets as their owners publish them, in files that are written here byte by byte.
#include <gtest/gtest.h>
#include <zlib.h>

#include <cstring>

#include "data/pictures.h"
#include "ibot/base/error.h"
#include "ibot/codec/decode.h"
#include "ibot/data/cifar.h"
#include "ibot/data/file_list.h"
#include "ibot/data/mat_file.h"
#include "ibot/loading/open_dataset.h"
#include "support/python.h"
#include "support/temporary_folder.h"

namespace ibot::data {
namespace {

namespace fs = std::filesystem;
using testing::Bytes;
using testing::TemporaryFolder;
using testing::write_bytes;

Bytes to_bytes(const std::string& text) { return {text.begin(), text.end()}; }

void append(Bytes& bytes, const Bytes& more) {
  bytes.insert(bytes.end(), more.begin(), more.end());
}

template <class Open>
std::string open_refusal(Open&& open) {
  try {
    open();
    return "";
  } catch (const DataError& error) {
    return error.what();
  }
}

// CIFAR

/// A record whose pixel i of channel c is 100 c + first + i % 50.
Bytes record(const Bytes& labels, int first) {
  Bytes bytes = labels;
  for (int c = 0; c < 3; ++c) {
    for (int i = 0; i < 1024; ++i) bytes.push_back(static_cast<uint8_t>(70 * c + first + i % 50));
  }
  return bytes;
}

std::string names(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += "name" + std::to_string(i) + "\n";
  return text + "\n";
}

TEST(Cifar, ReadsRecordsOfCifar10) {
  const TemporaryFolder root;
  const auto folder = root / "cifar-10-batches-bin";
  write_bytes(folder / "batches.meta.txt", to_bytes(names(10)));
  for (int i = 1; i <= 5; ++i) {
    auto bytes = record({static_cast<uint8_t>(i)}, i);
    append(bytes, record({9}, i + 5));
    write_bytes(folder / ("data_batch_" + std::to_string(i) + ".bin"), bytes);
  }
  write_bytes(folder / "test_batch.bin", record({0}, 20));
  const Cifar train(root.path(), CifarKind::kCifar10, Split::kTrain);
  EXPECT_EQ(train.size(), 10);
  EXPECT_EQ(train.class_names()[3], "name3");
  EXPECT_EQ(train.label(2), 2);
  EXPECT_EQ(train.label(3), 9);
  EXPECT_EQ(train.path(3), (folder / "data_batch_2.bin").string() + ":1");
  const Image image = decode(train.read(3), train.path(3));
  EXPECT_EQ(image.height(), 32);
  EXPECT_EQ(image.width(), 32);
  // Pixel (1, 2) is number 34 of each plane.
  for (int c = 0; c < 3; ++c) EXPECT_EQ(image.row(1)[3 * 2 + c], 70 * c + 7 + 34);
  EXPECT_EQ(Cifar(folder, CifarKind::kCifar10, Split::kVal).size(), 1);
}

TEST(Cifar, TakesTheFineLabelOfCifar100) {
  const TemporaryFolder root;
  write_bytes(root / "fine_label_names.txt", to_bytes(names(100)));
  write_bytes(root / "train.bin", record({3, 99}, 0));
  write_bytes(root / "test.bin", record({3, 41}, 0));
  EXPECT_EQ(Cifar(root.path(), CifarKind::kCifar100, Split::kTrain).label(0), 99);
  const auto val = open_dataset(root.path(), Split::kVal, {.kind = DatasetKind::kCifar100});
  EXPECT_EQ(val->label(0), 41);
}

TEST(Cifar, RefusesDamagedFiles) {
  const TemporaryFolder root;
  const auto open = [&] {
    return open_refusal([&] { Cifar(root.path(), CifarKind::kCifar100, Split::kVal); });
  };
  EXPECT_NE(open().find("binary version"), std::string::npos);
  write_bytes(root / "test.bin", Bytes(3000));
  EXPECT_NE(open().find("fine_label_names.txt"), std::string::npos);
  write_bytes(root / "fine_label_names.txt", to_bytes(names(7)));
  EXPECT_NE(open().find("expected 100 names, got 7"), std::string::npos);
  write_bytes(root / "fine_label_names.txt", to_bytes(names(100)));
  EXPECT_NE(open().find("whole records"), std::string::npos);
  write_bytes(root / "test.bin", record({0, 100}, 0));
  EXPECT_NE(open().find("got 100"), std::string::npos);
}

// MATLAB files

void append_number(Bytes& bytes, uint32_t number) {
  for (int i = 0; i < 4; ++i) bytes.push_back(static_cast<uint8_t>(number >> 8 * i));
}

Bytes element(uint32_t type, const Bytes& data) {
  Bytes bytes;
  append_number(bytes, type);
  append_number(bytes, static_cast<uint32_t>(data.size()));
  append(bytes, data);
  while (bytes.size() % 8 != 0) bytes.push_back(0);
  return bytes;
}

Bytes small_element(uint16_t type, const Bytes& data) {
  Bytes bytes;
  append_number(bytes, type | static_cast<uint32_t>(data.size()) << 16);
  append(bytes, data);
  bytes.resize(8);
  return bytes;
}

Bytes array_head(uint8_t kind, uint32_t columns, const std::string& name) {
  Bytes bytes = element(6, {kind, 0, 0, 0, 0, 0, 0, 0});
  Bytes extents;
  append_number(extents, 1);
  append_number(extents, columns);
  append(bytes, element(5, extents));
  append(bytes, name.size() <= 4 && !name.empty() ? small_element(1, to_bytes(name))
                                                  : element(1, to_bytes(name)));
  return bytes;
}

/// A double array that is stored in bytes, as MATLAB does with small whole numbers.
Bytes numbers(const std::string& name, const Bytes& values) {
  auto bytes = array_head(6, static_cast<uint32_t>(values.size()), name);
  append(bytes, values.size() <= 4 ? small_element(2, values) : element(2, values));
  return element(14, bytes);
}

Bytes text(const std::string& value) {
  auto bytes = array_head(4, static_cast<uint32_t>(value.size()), "");
  append(bytes, element(16, to_bytes(value)));
  return element(14, bytes);
}

Bytes mat_file(const std::vector<Bytes>& variables) {
  Bytes bytes = to_bytes("MATLAB 5.0 MAT-file, written by a test");
  bytes.resize(124, ' ');
  append(bytes, {0, 1, 'I', 'M'});
  for (const auto& variable : variables) append(bytes, variable);
  return bytes;
}

Bytes compressed(const Bytes& content) {
  uLongf size = compressBound(content.size());
  Bytes data(size);
  compress(data.data(), &size, content.data(), content.size());
  data.resize(size);
  Bytes bytes;
  append_number(bytes, 15);
  append_number(bytes, static_cast<uint32_t>(data.size()));
  append(bytes, data);
  return bytes;
}

struct Car {
  std::string path;
  uint8_t label;
  uint8_t test;
};

Bytes cars(const std::vector<Car>& all) {
  auto bytes = array_head(2, static_cast<uint32_t>(all.size()), "annotations");
  append(bytes, small_element(5, {16, 0, 0, 0}));
  Bytes field_names;
  for (const char* name : {"path", "x1", "y1", "x2", "y2", "class", "test"}) {
    auto padded = to_bytes(name);
    padded.resize(16);
    append(field_names, padded);
  }
  append(bytes, element(1, field_names));
  for (const auto& car : all) {
    append(bytes, text(car.path));
    for (const uint8_t corner : {1, 2, 3, 4}) append(bytes, numbers("", {corner}));
    append(bytes, numbers("", {car.label}));
    append(bytes, numbers("", {car.test}));
  }
  return element(14, bytes);
}

TEST(MatFile, FindsAVariableAmongCompressedOnes) {
  const TemporaryFolder folder;
  const auto file = folder / "a.mat";
  write_bytes(file, mat_file({numbers("other", {7}), compressed(numbers("labels", {3, 1, 2, 9, 5})),
                              numbers("last", {8, 9})}));
  EXPECT_EQ(read_mat_variable(file, "labels").numbers, (std::vector<double>{3, 1, 2, 9, 5}));
  EXPECT_EQ(read_mat_variable(file, "last").numbers, (std::vector<double>{8, 9}));
  EXPECT_NE(open_refusal([&] { read_mat_variable(file, "none"); }).find("variable none"),
            std::string::npos);
}

TEST(MatFile, EveryTruncationIsAnErrorOrAMissingVariable) {
  const TemporaryFolder folder;
  const auto file = folder / "a.mat";
  for (const auto& variable : {cars({{"a.jpg", 1, 0}}), compressed(cars({{"a.jpg", 1, 0}}))}) {
    const auto whole = mat_file({variable});
    write_bytes(file, whole);
    EXPECT_EQ(read_mat_variable(file, "annotations").fields[0].text(), "a.jpg");
    for (size_t length = 0; length < whole.size(); ++length) {
      write_bytes(file, {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)});
      // The padding after the last number may be missing.
      if (length + 8 > whole.size()) continue;
      EXPECT_NE(open_refusal([&] { read_mat_variable(file, "annotations"); }), "") << length;
    }
    for (size_t i = 128; i < whole.size(); ++i) {
      auto damaged = whole;
      damaged[i] ^= 0xFF;
      write_bytes(file, damaged);
      open_refusal([&] { read_mat_variable(file, "annotations"); });  // must end, however it does
    }
  }
}

TEST(MatFile, ReadsWhatScipyWrites) {
  if (!testing::python_has("scipy.io, numpy")) GTEST_SKIP() << "needs Python with SciPy";
  const TemporaryFolder folder;
  testing::python_output(
      "import numpy, scipy.io\n"
      "for name, compress in [('plain', False), ('packed', True)]:\n"
      "    cars = numpy.zeros((1, 2), dtype=[('p', 'O'), ('a', 'O'), ('b', 'O'), ('c', 'O'),\n"
      "                                      ('d', 'O'), ('class', 'O'), ('test', 'O')])\n"
      "    cars[0, 0] = ('x/one.jpg', 1, 2, 3, 4, 196, 0)\n"
      "    cars[0, 1] = ('x/two.jpg', 1, 2, 3, 400, 2, 1)\n"
      "    scipy.io.savemat('" +
      (folder / "").string() +
      "' + name + '.mat',\n"
      "        {'labels': numpy.arange(1, 300, dtype=numpy.uint16)[None], 'annotations': cars,\n"
      "         'x': numpy.array([[1.5, 2.5]])}, do_compression=compress)\n");
  for (const char* name : {"plain.mat", "packed.mat"}) {
    const auto file = folder / name;
    const auto labels = read_mat_variable(file, "labels").numbers;
    ASSERT_EQ(labels.size(), 299U);
    EXPECT_EQ(labels[298], 299);
    EXPECT_EQ(read_mat_variable(file, "x").numbers, (std::vector<double>{1.5, 2.5}));
    const auto cars = read_mat_variable(file, "annotations");
    ASSERT_EQ(cars.fields.size(), 14U);
    EXPECT_EQ(cars.field_names[5], "class");
    EXPECT_EQ(cars.fields[7].text(), "x/two.jpg");
    EXPECT_EQ(cars.fields[11].numbers, std::vector<double>{400});
  }
}

// Sets of files

void write_jpeg(const fs::path& path) { write_bytes(path, testing::jpeg()); }

TEST(Flowers, TrainsOnTheFirstTwoPartsAndNumbersClassesFromZero) {
  const TemporaryFolder root;
  for (int i = 1; i <= 4; ++i) {
    write_jpeg(root / "jpg" / ("image_0000" + std::to_string(i) + ".jpg"));
  }
  write_bytes(root / "imagelabels.mat", mat_file({numbers("labels", {102, 1, 7, 7, 5})}));
  write_bytes(root / "setid.mat", mat_file({compressed(numbers("trnid", {3})),
                                            numbers("valid", {1}), numbers("tstid", {4, 2})}));
  const auto train = flowers(root.path(), Split::kTrain);
  ASSERT_EQ(train.size(), 2);
  EXPECT_EQ(train.path(0), (root / "jpg/image_00003.jpg").string());
  EXPECT_EQ(train.label(0), 6);
  EXPECT_EQ(train.label(1), 101);
  const auto test = open_dataset(root.path(), Split::kVal, {.kind = DatasetKind::kFlowers});
  EXPECT_EQ(test->label(1), 0);
  EXPECT_EQ(test->class_names().size(), 102U);
  fs::remove(root / "jpg/image_00004.jpg");
  EXPECT_NE(
      open_refusal([&] { flowers(root.path(), Split::kVal); }).find("1 of 2 images are missing"),
      std::string::npos);
}

TEST(StanfordCars, SplitsByTheTestFlag) {
  const TemporaryFolder root;
  for (const char* name : {"a.jpg", "b.jpg", "c.jpg"}) write_jpeg(root / "car_ims" / name);
  write_bytes(
      root / "cars_annos.mat",
      mat_file({compressed(
          cars({{"car_ims/a.jpg", 1, 0}, {"car_ims/b.jpg", 196, 1}, {"car_ims/c.jpg", 2, 0}}))}));
  const auto train = stanford_cars(root.path(), Split::kTrain);
  ASSERT_EQ(train.size(), 2);
  EXPECT_EQ(train.label(0), 0);
  EXPECT_EQ(train.label(1), 1);
  EXPECT_EQ(train.path(1), (root / "car_ims/c.jpg").string());
  EXPECT_EQ(stanford_cars(root.path(), Split::kVal).label(0), 195);
}

TEST(INaturalist, NumbersClassesAsTheyFirstAppearInTraining) {
  const TemporaryFolder root;
  write_bytes(root / "categories.json",
              to_bytes(R"([{"name": "a", "genus": "x"}, {"name": "b", "genus": "y"},
                           {"name": "c", "genus": "x"}])"));
  const auto images = [](const std::string& list, const std::string& categories) {
    return to_bytes("{\"images\": [" + list + "], \"annotations\": [" + categories + "]}");
  };
  const std::string one = R"({"file_name": "train_val2019/Birds/2/one.jpg"})";
  const std::string two = R"({"file_name": "train_val2019/Birds/0/two.jpg"})";
  write_bytes(root / "train2019.json",
              images(one + "," + two, R"({"category_id": 2}, {"category_id": 0})"));
  write_bytes(root / "val2019.json", images(two, R"({"category_id": 0})"));
  write_jpeg(root / "train_val2019/Birds/2/one.jpg");
  write_jpeg(root / "train_val2019/Birds/0/two.jpg");
  const auto train = inaturalist(root.path(), 2019, "name", Split::kTrain);
  EXPECT_EQ(train.class_names(), (std::vector<std::string>{"c", "a"}));
  EXPECT_EQ(train.label(0), 0);
  EXPECT_EQ(train.label(1), 1);
  EXPECT_EQ(inaturalist(root.path(), 2019, "name", Split::kVal).label(0), 1);
  EXPECT_EQ(inaturalist(root.path(), 2019, "genus", Split::kTrain).class_names(),
            std::vector<std::string>{"x"});
  const auto open = [&](const char* rank) {
    return open_refusal([&] { inaturalist(root.path(), 2019, rank, Split::kVal); });
  };
  EXPECT_NE(open("tribe").find("tribe"), std::string::npos);
  write_bytes(root / "val2019.json",
              images(R"({"file_name": "train_val2019/Birds/1/one.jpg"})", ""));
  EXPECT_NE(open("name").find("b has no training image"), std::string::npos);
  write_bytes(root / "val2019.json", images(R"({"file_name": "two.jpg"})", ""));
  EXPECT_NE(open("name").find("FOLDER/SUPER/CATEGORY/FILE"), std::string::npos);
  write_bytes(root / "val2019.json", to_bytes("nothing"));
  EXPECT_NE(open("name").find("expected JSON"), std::string::npos);
}

class ListedImages : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"n01/n01_5.JPEG", "n01/n01_10.JPEG", "n02/n02_1.JPEG"}) {
      write_jpeg(root_ / "train" / name);
    }
    fs::create_directories(root_ / "train/n03");
  }
  FileList list(const std::string& text) const {
    write_bytes(root_ / "list.txt", to_bytes(text));
    return listed_images(root_ / "train", root_ / "list.txt");
  }
  TemporaryFolder root_;
};

TEST_F(ListedImages, ComeInTheOrderOfAnImageFolder) {
  const auto images = list("n02_1.JPEG\nn01_5.JPEG\nn01/n01_10.JPEG\nn01_5.JPEG\n");
  ASSERT_EQ(images.size(), 3);
  EXPECT_EQ(images.class_names(), (std::vector<std::string>{"n01", "n02", "n03"}));
  EXPECT_EQ(images.path(0), (root_ / "train/n01/n01_10.JPEG").string());
  EXPECT_EQ(images.path(1), (root_ / "train/n01/n01_5.JPEG").string());
  EXPECT_EQ(images.label(2), 1);
  const auto opened =
      open_dataset(root_.path(), Split::kTrain, {.train_list = (root_ / "list.txt").string()});
  EXPECT_EQ(opened->size(), 3);
}

// The labels must stay those of an image folder.
TEST_F(ListedImages, HiddenNamesArePassedOverAsInAnImageFolder) {
  write_jpeg(root_ / "train/.trash/n00_1.JPEG");
  write_jpeg(root_ / "train/n01/._n01_5.JPEG");
  const auto images = list("n01/._n01_5.JPEG\n.trash/n00_1.JPEG\nn02_1.JPEG\n");
  EXPECT_EQ(images.class_names(), (std::vector<std::string>{"n01", "n02", "n03"}));
  ASSERT_EQ(images.size(), 1);
  EXPECT_EQ(images.label(0), 1);
  ASSERT_EQ(images.notes().size(), 1U);
  EXPECT_NE(images.notes()[0].find("passed over 2 hidden names"), std::string::npos);
}

TEST_F(ListedImages, AreRefusedWhereTheListIsWrong) {
  const auto reason = [&](const std::string& text) { return open_refusal([&] { list(text); }); };
  EXPECT_NE(reason("n01_5.JPEG\nn09_1.JPEG\n").find("list.txt:2: expected a class folder n09"),
            std::string::npos);
  EXPECT_NE(reason("picture.jpg\n").find("CLASS_NUMBER"), std::string::npos);
  EXPECT_NE(reason("n01_6.JPEG\nn01_5.JPEG\n").find("1 of 2 images are missing"),
            std::string::npos);
  EXPECT_NE(reason("\n").find("found none"), std::string::npos);
  EXPECT_NE(open_refusal([&] { listed_images(root_ / "train", root_ / "no.txt"); }).find("no.txt"),
            std::string::npos);
}

}  // namespace
}  // namespace ibot::data
