#include "ibot/data/image_folder.h"

#include <gtest/gtest.h>

#include <fstream>

#include "data/pictures.h"
#include "ibot/base/error.h"
#include "support/temporary_folder.h"

namespace ibot::data {
namespace {

namespace fs = std::filesystem;

class ImageFolderTest : public ::testing::Test {
 protected:
  void add(const std::string& name) { testing::write_bytes(root_ / name, {1, 2, 3}); }

  std::vector<std::string> names() const {
    const ImageFolder folder(root_.path());
    std::vector<std::string> result;
    for (int64_t i = 0; i < folder.size(); ++i) {
      result.push_back(fs::relative(folder.path(i), root_.path()).string() + " " +
                       std::to_string(folder.label(i)));
    }
    return result;
  }

  std::string refusal(const fs::path& root) const {
    try {
      const ImageFolder folder(root);
    } catch (const DataError& error) {
      return error.what();
    }
    return "";
  }

  testing::TemporaryFolder root_;
};

// '-' sorts before '/', and folders are compared by their whole path; upper case before lower.
TEST_F(ImageFolderTest, OrderIsByClassThenFolderPathThenName) {
  add("b/z.jpg");
  add("b/a/c/2.png");
  add("b/a-b/1.png");
  add("b/B.jpg");
  add("a/10.jpg");
  add("a/9.jpg");
  add("Z/x.jpg");
  EXPECT_EQ(names(), (std::vector<std::string>{"Z/x.jpg 0", "a/10.jpg 1", "a/9.jpg 1", "b/B.jpg 2",
                                               "b/z.jpg 2", "b/a-b/1.png 2", "b/a/c/2.png 2"}));
}

TEST_F(ImageFolderTest, ExtensionsIgnoreCase) {
  for (const std::string name : {"1.JPG", "2.Jpeg", "3.png", "4.ppm", "5.bmp", "6.pgm", "7.TIF",
                                 "8.tiff", "9.webp", "a.gif", "b.txt", "jpg", "c.jpg.part"}) {
    add("class/" + name);
  }
  EXPECT_EQ(names().size(), 9U);
}

TEST_F(ImageFolderTest, LinksAreFollowed) {
  testing::TemporaryFolder elsewhere;
  testing::write_bytes(elsewhere / "deep/1.jpg", {1});
  add("b/2.jpg");
  fs::create_directory_symlink(elsewhere.path(), root_ / "a");
  fs::create_symlink(root_ / "b/2.jpg", root_ / "b/3.jpg");
  const ImageFolder folder(root_.path());
  EXPECT_EQ(folder.class_names(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(folder.size(), 3);
  EXPECT_EQ(folder.read(0), testing::Bytes{1});
  EXPECT_EQ(folder.read(2), (testing::Bytes{1, 2, 3}));
}

TEST_F(ImageFolderTest, AClassWithoutImagesKeepsItsIndex) {
  fs::create_directory(root_ / "a");
  add("b/1.jpg");
  EXPECT_EQ(names(), std::vector<std::string>{"b/1.jpg 1"});
}

TEST_F(ImageFolderTest, RefusesWhatIsNoFolderOfClasses) {
  EXPECT_NE(refusal(root_ / "none").find("found nothing at"), std::string::npos);
  EXPECT_NE(refusal(root_.path()).find("put images without classes into one sub-folder"),
            std::string::npos);
  std::ofstream(root_ / "file.jpg") << "x";
  EXPECT_NE(refusal(root_ / "file.jpg").find("expected a folder"), std::string::npos);
  EXPECT_NE(refusal(root_.path()).find("one sub-folder a class"), std::string::npos);
  fs::create_directory(root_ / "class");
  EXPECT_NE(refusal(root_.path()).find("expected images below"), std::string::npos);
}

TEST_F(ImageFolderTest, RefusesACycleOfLinks) {
  add("a/1.jpg");
  fs::create_directory_symlink(root_ / "a", root_ / "a/again");
  EXPECT_NE(refusal(root_.path()).find("links to a folder above itself"), std::string::npos);
}

TEST_F(ImageFolderTest, RefusesAnUnreadableFolder) {
  add("a/1.jpg");
  fs::create_directory(root_ / "b");
  fs::permissions(root_ / "b", fs::perms::none);
  if (std::error_code error; fs::directory_iterator(root_ / "b", error), !error) {
    GTEST_SKIP() << "this user may read everything";
  }
  EXPECT_NE(refusal(root_.path()).find("cannot read"), std::string::npos);
}

TEST_F(ImageFolderTest, AFileThatVanishedIsAnErrorOnReading) {
  add("a/1.jpg");
  const ImageFolder folder(root_.path());
  fs::remove(root_ / "a/1.jpg");
  EXPECT_THROW(folder.read(0), DataError);
}

}  // namespace
}  // namespace ibot::data
