#include "ibot/data/image_folder.h"

#include <gtest/gtest.h>

#include <fstream>

#include "data/pictures.h"
#include "ibot/base/error.h"
#include "ibot/loading/open_dataset.h"
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
  EXPECT_EQ(names().size(), 10U);
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

TEST_F(ImageFolderTest, RefusesWhatHoldsNoImages) {
  EXPECT_NE(refusal(root_ / "none").find("found nothing at"), std::string::npos);
  EXPECT_NE(refusal(root_.path()).find("expected images below"), std::string::npos);
  std::ofstream(root_ / "file.heic") << "x";
  EXPECT_NE(refusal(root_ / "file.heic").find("expected a folder"), std::string::npos);
  fs::create_directory(root_ / "class");
  std::ofstream(root_ / "class/1.HEIC") << "x";
  EXPECT_NE(refusal(root_.path()).find("found none; left out 2 files by their ending: .heic 2;"),
            std::string::npos);
}

TEST_F(ImageFolderTest, HiddenNamesAndWhatSystemsLeaveArePassedOver) {
  add("a/1.jpg");
  add("b/deep/2.jpg");
  for (const std::string name :
       {".ipynb_checkpoints/1-checkpoint.jpg", "__MACOSX/a/1.jpg", "@eaDir/x.jpg", "#recycle/x.jpg",
        "lost+found/x.jpg", "$RECYCLE.BIN/x.jpg", "System Volume Information/x.jpg", "a/._1.jpg",
        "a/.DS_Store", "a/Thumbs.db", "b/@eaDir/2.jpg/SYNOPHOTO_THUMB_M.jpg", "b/deep/.x/3.jpg"}) {
    add(name);
  }
  EXPECT_EQ(names(), (std::vector<std::string>{"a/1.jpg 0", "b/deep/2.jpg 1"}));
  const ImageFolder folder(root_.path());
  EXPECT_EQ(folder.class_names(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(folder.notes(),
            std::vector<std::string>{"passed over 12 hidden names or ones that systems leave, the "
                                     "first one #recycle"});
}

// The root is the user's choice, whatever its name.
TEST_F(ImageFolderTest, AHiddenRootIsRead) {
  add(".cache/@eaDir/a/1.jpg");
  EXPECT_EQ(ImageFolder(root_ / ".cache/@eaDir").size(), 1);
}

TEST_F(ImageFolderTest, FilesLeftOutAreCountedByTheirEnding) {
  for (const char* name : {"1.jpg", "1.txt", "2.TXT", "3.txt", "4.HEIC", "5", "6.jpg.part"}) {
    add("a/" + std::string(name));
  }
  add("b/1.heic");
  EXPECT_EQ(ImageFolder(root_.path()).notes(),
            std::vector<std::string>{"left out 7 files by their ending: .txt 3, .heic 2, .part 1, "
                                     "no ending 1"});
}

TEST_F(ImageFolderTest, AFlatFolderIsReadWithoutClasses) {
  add("10.jpg");
  add("9.JPG");
  add(".10.jpg");
  add("notes.txt");
  add("labels/9.txt");
  const ImageFolder folder(root_.path(), 1);
  EXPECT_EQ(names(), (std::vector<std::string>{"10.jpg 0", "9.JPG 0"}));
  EXPECT_FALSE(has_classes(folder));
  EXPECT_EQ(folder.read(1), (testing::Bytes{1, 2, 3}));
  EXPECT_EQ(folder.notes().size(), 2U);
}

TEST_F(ImageFolderTest, ImagesBesideClassesAreLeftOutAndSaid) {
  add("a/1.jpg");
  add("stray.jpg");
  const ImageFolder folder(root_.path());
  EXPECT_TRUE(has_classes(folder));
  EXPECT_EQ(names(), std::vector<std::string>{"a/1.jpg 0"});
  EXPECT_EQ(folder.notes(),
            std::vector<std::string>{
                "left out 1 image beside the class folders, the first one stray.jpg"});
}

// Sub-folders that have images beside them are albums and no classes.
TEST_F(ImageFolderTest, WithoutLabelsAllImagesOfAMixedFolderAreRead) {
  add("a/deep/1.jpg");
  add("b/2.jpg");
  EXPECT_TRUE(has_classes(*open_images(root_.path(), Labels::kIgnored)));
  EXPECT_EQ(ImageFolder(root_.path(), 1).size(), 2);  // a listing with classes may be kept
  add("beside.jpg");
  const auto all = open_images(root_.path(), Labels::kIgnored);
  EXPECT_EQ(all->size(), 3);
  EXPECT_FALSE(has_classes(*all));
  EXPECT_EQ(all->path(0), (root_ / "beside.jpg").string());
  EXPECT_EQ(all->notes(),
            std::vector<std::string>{"read without classes: 1 image beside 2 sub-folders, the "
                                     "first one beside.jpg, and all images below"});
  EXPECT_EQ(open_images(root_.path())->size(), 2);
}

TEST_F(ImageFolderTest, SplitsAreSaidToCountAsClasses) {
  for (const char* other : {"val", "valid", "validation", "test"}) {
    add("train/a/1.jpg");
    add(std::string(other) + "/a/1.jpg");
    const auto notes = ImageFolder(root_.path()).notes();
    ASSERT_EQ(notes.size(), 1U);
    EXPECT_NE(notes[0].find("holds train/ and " + std::string(other)), std::string::npos);
    fs::remove_all(root_ / other);
  }
  add("car/1.jpg");  // beside a vehicle
  EXPECT_TRUE(ImageFolder(root_.path()).notes().empty());
}

TEST_F(ImageFolderTest, SplitsMayBeNamedWithAYear) {
  add("train2017/1.jpg");
  add("val2017/1.jpg");
  EXPECT_EQ(ImageFolder(root_.path()).notes(),
            std::vector<std::string>{"holds train2017/ and val2017/, which count as classes, and "
                                     "the images of both are read; add /train2017 to the path to "
                                     "read the training images alone"});
}

TEST_F(ImageFolderTest, SplitsBesideImagesAreSaidToBeReadBoth) {
  add("train/a/1.jpg");
  add("val/a/1.jpg");
  add("beside.jpg");
  const auto notes = open_images(root_.path(), Labels::kIgnored)->notes();
  ASSERT_EQ(notes.size(), 2U);
  EXPECT_EQ(notes[1],
            "holds train/ and val/, and the images of both are read; add /train to the path to "
            "read the training images alone");
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
