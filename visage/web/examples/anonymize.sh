curl -H 'Authorization: Bearer TOKEN' -F image=@photo.jpg 'http://localhost:8080/anonymize?method=mosaic' -o anonymous.jpg
