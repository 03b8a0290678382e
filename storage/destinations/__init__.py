"""Where copies of archives are kept: a folder, or object storage. One contract for all, carried out by obstore."""
