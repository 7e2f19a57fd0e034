"""Image generators side by side (JSIA-ReID, Table 4): the ones it is compared with, and how their images are scored."""
