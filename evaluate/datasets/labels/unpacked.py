"""The folders in which published archives, and torchvision's downloads, put a data set."""

CARS = ("stanford_cars",)
DTD = ("dtd", "dtd/dtd")
FLOWERS102 = ("flowers-102",)
FOOD101 = ("food-101",)
OBJECTNET = ("objectnet-1.0",)
PETS = ("oxford-iiit-pet",)
